"""HTTP/1.1 over a socket, in pieces and with nothing hidden."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import httpx

PIECE = 64 * 1024
_LARGEST_HEAD = 256 * 1024
_TCP_CLOSE = 7  # of the kernel: the other side has reset the connection
_SENDING_SECONDS = 5
WITHOUT_BODY = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}


@dataclass
class Response:
    """The store's answer, of which the body has not come yet."""

    status: int
    head: bytes
    pieces: Iterator[bytes]
    chunked: bool
    last: bool
    """No other answer comes over the connection."""


class Wire:
    """One end of a connection, which speaks HTTP/1.1."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_body(self, pieces: Iterable[bytes], chunked: bool) -> None:
        for piece in pieces:
            self.send(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self.send(b"0\r\n\r\n")

    def head(self) -> bytes:
        """Up to the empty line and with it; nothing if the connection ends before the first byte."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            assert len(self._buffer) < _LARGEST_HEAD
            if not self._receive():
                if self._buffer:
                    raise ConnectionError("The connection ends in a head.")
                return b""
        return self._take(end + 4)

    def response(self, method: str) -> Response:
        while True:
            head = self.head()
            if not head:
                raise ConnectionError("The store has closed the connection without an answer.")
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
        headers = read_headers(head)
        chunked = is_chunked(headers)
        length = int(headers["content-length"]) if "content-length" in headers else None
        if method == "HEAD" or status in WITHOUT_BODY:
            chunked, length = False, 0
        last = (
            (length is None and not chunked)
            or headers.get("connection", "").lower() == "close"
            or not head.startswith(b"HTTP/1.1")
        )
        return Response(status, head, self.body(length, chunked), chunked, last)

    def body(self, length: int | None, chunked: bool) -> Iterator[bytes]:
        """A body of that length, in chunks, or else up to the end of the connection."""
        if not chunked:
            yield from self._bytes(length)
            return
        while size := int(self._line().split(b";")[0], 16):
            yield from self._bytes(size)
            self._line()
        while self._line() != b"\r\n":
            pass  # a trailer

    def finish(self) -> None:
        """Ends the connection in order: what was sent arrives although more may come that nobody reads."""
        if self._socket.fileno() >= 0:  # it has not been reset
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            self.wait_for_end()

    def reset(self) -> None:
        with suppress(OSError):
            _wait_until_sent(self._socket)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait_for_end(self) -> None:
        with suppress(OSError):
            while self._socket.recv(PIECE):
                pass

    def _bytes(self, length: int | None) -> Iterator[bytes]:
        left = length
        while left is None or left:
            if not self._buffer and not self._receive():
                if left is None:
                    return
                raise ConnectionError("The connection ends in a body.")
            piece = self._take(PIECE if left is None else min(PIECE, left))
            left = None if left is None else left - len(piece)
            yield piece

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._receive():
                raise ConnectionError("The connection ends in a line.")
        return self._take(end + 2)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _receive(self) -> bool:
        received = self._socket.recv(PIECE)
        self._buffer += received
        return bool(received)


def read_headers(head: bytes) -> httpx.Headers:
    lines = head.split(b"\r\n")[1:-2]
    fields = (line.partition(b":") for line in lines)
    return httpx.Headers([(name, value.strip()) for name, _, value in fields])


def is_chunked(headers: httpx.Headers) -> bool:
    return bool(headers.get("transfer-encoding", "").lower() == "chunked")


def _wait_until_sent(connected: socket.socket) -> None:
    """Waits until the other side has it all, as a reset drops what it does not have."""
    deadline = time.monotonic() + _SENDING_SECONDS
    while time.monotonic() < deadline:
        queued = fcntl.ioctl(connected, termios.TIOCOUTQ, struct.pack("i", 0))
        state = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if struct.unpack("i", queued) == (0,) or state == _TCP_CLOSE:
            return
        time.sleep(0.005)
