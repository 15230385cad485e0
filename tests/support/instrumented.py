"""A server that counts what it does, and a connection to it."""

from __future__ import annotations

import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from tests.support.instruments import CALLS, MEMORY
from tests.support.patched import patched
from tests.support.raw import connection, head
from tests.support.server import Server, running
from tests.support.waiting import wait_until

HANDED_OVER = "thread.py:ThreadPoolExecutor.submit"
"""What is called to have something done by a thread."""


class Instrumented:
    def __init__(self, server: Server, connected: socket.socket, report: Path) -> None:
        self.server = server
        self._connected = connected
        self._report = report
        self._last = ""
        """The id of the request that was sent last."""

    @property
    def root(self) -> Path:
        return self.server.root

    def ask(self, method: str, target: str, *headers: str, body: bytes = b"", times: int = 1) -> HTTPResponse:
        """Sends the request so many times, each after the answer before, and gives the last answer."""
        if body:
            headers = (*headers, f"Content-Length: {len(body)}")
        request = head(method, target, *headers) + body
        for _ in range(times):
            self._connected.sendall(request)
            with HTTPResponse(self._connected, method=method) as answer:
                answer.begin()
                answer.read()
        self._last = answer.headers["x-request-id"]
        return answer

    @contextmanager
    def calls(self) -> Iterator[Counter[str]]:
        """Has those of the server, when it has done all that it was asked in the block."""
        counted: Counter[str] = Counter()
        self._signal(CALLS)
        yield counted
        counted.update(self._signal(CALLS))

    @contextmanager
    def memory(self) -> Iterator[list[int]]:
        """Has the most bytes that the server had at once for what it was asked in the block."""
        peaks: list[int] = []
        self._signal(MEMORY)
        yield peaks
        peaks.append(self._signal(MEMORY))

    def settle(self) -> None:
        """Waits for what comes behind the last answer. The access log tells when that is over."""
        wait_until(lambda: self._last in self.server.log(), "the last request is over")

    def _signal(self, number: signal.Signals) -> Any:
        self.settle()
        self._report.unlink(missing_ok=True)
        self.server.process.send_signal(number)
        wait_until(self._report.exists, "the server has counted")
        return json.loads(self._report.read_text())


@contextmanager
def instrumented(root: Path, directory: Path) -> Iterator[Instrumented]:
    """A server over `root` with default settings, which keeps what it needs besides in `directory`."""
    report = directory / "report"
    variables = patched(
        directory / "patched",
        "from tests.support.instruments import install",
        f"install({str(report)!r})",
    )
    with (
        running(root, environment=variables, log_file=directory / "log") as server,
        connection(server.url) as connected,
    ):
        yield Instrumented(server, connected, report)
