"""A server that knows its callers, and what it writes down about them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.support.access import access_file
from tests.support.raw import TIMEOUT, Answer, connection, read_answer
from tests.support.server import Server, running

DENIED = (403, "PERMISSION_DENIED")
UNKNOWN = (401, "UNAUTHENTICATED")
SAME = {"X-Request-Id": "same"}
"""For answers that are compared, as errors tell the request id."""


@contextmanager
def guarded(directory: Path, *stanzas: str, flags: Sequence[str] = ()) -> Iterator[Server]:
    """A server over directory/root, with an access file of these stanzas beside it."""
    file = access_file(directory, *stanzas)
    arguments = ("--access-file", str(file), *flags)
    with running(directory / "root", *arguments, log_file=directory / "server.log") as server:
        yield server


def surface(server: Server, name: str) -> str:
    """The URL below which artifacts are: `native`, `mlflow` or `ajax`."""
    ajax = f"{server.url}/ajax-api/2.0/mlflow-artifacts/artifacts"
    return {"native": server.native, "mlflow": f"{server.mlflow}/artifacts", "ajax": ajax}[name]


def told(answer: httpx.Response) -> tuple[int, str | None]:
    """The status, and the error code if it is an error."""
    return answer.status_code, answer.json()["error_code"] if answer.is_error and answer.content else None


def audited(file: Path) -> list[dict[str, Any]]:
    """The lines of an audit log."""
    return [json.loads(line) for line in file.read_text("ascii").splitlines()]


def flooded(url: str, request: bytes) -> Answer:
    """The answer to a body in chunks, of which ever more is sent until the answer comes."""
    with connection(url) as connected:
        connected.sendall(request)
        piece = b"%x\r\n%b\r\n" % (100_000, bytes(100_000))
        while not _has_come(connected):
            with suppress(OSError):
                connected.sendall(piece)
        return read_answer(connected)


def _has_come(connected: socket.socket) -> bool:
    connected.setblocking(False)
    try:
        return bool(connected.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connected.settimeout(TIMEOUT)
