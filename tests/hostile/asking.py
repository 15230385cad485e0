"""Requests by hand on as few connections as the server allows."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.raw import TIMEOUT, Answer, read_answer
from tests.support.server import Server

INVALID = (400, "INVALID_PARAMETER_VALUE")
MALFORMED = (400, "MALFORMED_REQUEST")
NATIVE = "/v1/artifacts/"
MLFLOW = "/api/2.0/mlflow-artifacts"


def code(answer: Answer) -> tuple[int, str]:
    """What a refusal says, which is in the form of all our errors."""
    assert answer.headers["content-type"] == "application/json", answer
    assert answer.headers["x-content-type-options"] == "nosniff", answer
    said = json.loads(answer.body)
    assert said.keys() == {"error_code", "message", "request_id"}, answer
    assert said["request_id"] == answer.headers["x-request-id"], answer
    return answer.status, said["error_code"]


class Asker:
    """Speaks to one server as one caller, on one connection as long as that is not closed."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.server = server
        self.credential = [f"Authorization: Bearer {token}"] if token else []
        self._connected: socket.socket | None = None

    def head(
        self, method: str, target: str, *headers: str, host: str = "127.0.0.1", version: str = "1.1"
    ) -> bytes:
        lines = [f"{method} {target} HTTP/{version}", f"Host: {host}", *self.credential, *headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """One request with a body of a known length, if it has one."""
        length = [f"Content-Length: {len(body)}"] if body or method in {"PUT", "POST"} else []
        return self.send(self.head(method, target, *length, *headers) + body)

    def send(self, request: bytes) -> Answer:
        """The answer to these bytes; the connection stays if the server wants that."""
        if self._connected is None:
            self._connected = self.connect()
        self._connected.sendall(request)
        answer = read_answer(self._connected)
        if answer.headers.get("connection") == "close":
            assert self._connected.recv(1) == b"", "said to be closed, and open"
            self.hang_up()
        return answer

    def last(self, request: bytes) -> Answer:
        """The answer to these bytes, behind which the server closes the connection."""
        with self.open() as connected:
            connected.sendall(request)
            answer = read_answer(connected)
            assert answer.headers["connection"] == "close", (request, answer)
            assert connected.recv(1) == b"", request
            return answer

    def all_of(self, request: bytes) -> bytes:
        """Every byte that comes back until the server closes the connection."""
        with self.open() as connected:
            connected.sendall(request)
            received = b""
            while piece := connected.recv(65536):
                received += piece
            return received

    def connect(self) -> socket.socket:
        parts = urlsplit(self.server.url)
        return socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT)

    @contextmanager
    def open(self) -> Iterator[socket.socket]:
        with self.connect() as connected:
            yield connected

    def listed(self, directory: str = "") -> list[str]:
        """The names in a directory."""
        listing: dict[str, Any] = json.loads(self.ask("GET", NATIVE + directory).body)
        return [entry["name"] for entry in listing["entries"]]

    def hang_up(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
