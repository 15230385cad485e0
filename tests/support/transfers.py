"""Transfers that go on step by step, so that a test decides how slow they are, and when what happens."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.raw import connection, head, read_answer

PIECE = 256 * 1024


class SlowUpload:
    def __init__(self, connected: socket.socket, path: str, content: bytes) -> None:
        """Sends the first half of the content at once."""
        self.path = path
        self.content = content
        self._connected = connected
        self._sent = len(content) // 2
        begin = head("PUT", f"/v1/artifacts/{path}", f"Content-Length: {len(content)}")
        connected.sendall(begin + content[: self._sent])

    def step(self) -> bool:
        """Sends a piece more; says whether there is another."""
        piece = self.content[self._sent : self._sent + PIECE]
        self._connected.sendall(piece)
        self._sent += len(piece)
        return self._sent < len(self.content)

    def status(self) -> int | None:
        """Of the answer; None where the connection ended without one."""
        try:
            return read_answer(self._connected).status
        except (OSError, IndexError):
            return None


class SlowDownload:
    def __init__(self, connected: socket.socket, path: str) -> None:
        """Takes no more than the first bytes at once."""
        self._connected = connected
        connected.sendall(head("GET", f"/v1/artifacts/{path}"))
        begin = b""
        while b"\r\n\r\n" not in begin:
            begin += connected.recv(1000)
        fields, _, rest = begin.partition(b"\r\n\r\n")
        assert fields.startswith(b"HTTP/1.1 200 ")
        self.missing = int(fields.lower().partition(b"content-length:")[2].split()[0]) - len(rest)
        self._digest = hashlib.sha256(rest)

    def step(self) -> bool:
        """Takes a piece more; says whether there may be another."""
        try:
            piece = self._connected.recv(min(PIECE, self.missing))
        except ConnectionResetError:
            return False
        self._digest.update(piece)
        self.missing -= len(piece)
        return bool(piece and self.missing)

    def sha256(self) -> bytes:
        """Of what has come."""
        return self._digest.digest()


@dataclass(frozen=True)
class Transfers:
    uploads: Sequence[SlowUpload]
    downloads: Sequence[SlowDownload]

    def go_on(self) -> None:
        """Takes turns until all that can be sent has been sent, and all that comes has been taken."""
        running: list[SlowUpload | SlowDownload] = [*self.uploads, *self.downloads]
        while running:
            running = [transfer for transfer in running if transfer.step()]


@contextmanager
def slow_transfers(url: str, uploads: dict[str, bytes], downloads: Sequence[str]) -> Iterator[Transfers]:
    """Has begun all of them when it is entered: content to send by its path, and paths to fetch."""
    with ExitStack() as stack:

        def connected() -> socket.socket:
            return stack.enter_context(connection(url))

        yield Transfers(
            [SlowUpload(connected(), path, content) for path, content in uploads.items()],
            [SlowDownload(connected(), path) for path in downloads],
        )
