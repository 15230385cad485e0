"""Requests one after the other over connections that stay open, by one process with little work for each."""

from __future__ import annotations

import random
import re
import selectors
import socket
import time
from array import array
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.pool import Pool
from urllib.parse import urlsplit

from benchmarks.content import WrongTransfer, span
from benchmarks.names import MEDIAN, P99, REQUESTS, Figures

_PATIENCE = 60
"""Seconds for an answer."""
_RECEIVED_AT_ONCE = 1024 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")


@dataclass(frozen=True)
class Question:
    url: str
    size: int
    content: int
    """Of the artifact; see `content`."""
    range_bytes: int = 0
    """How long the range is, somewhere in the artifact, that each request asks for; 0 for all of it."""


@dataclass(frozen=True)
class Answers:
    seconds: float
    latencies: array[float]
    """Of each answer, in seconds, the quickest first."""

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def figures(self) -> Figures:
        return {
            REQUESTS: self.per_second,
            MEDIAN: self.milliseconds(0.5),
            P99: self.milliseconds(0.99),
        }

    def milliseconds(self, quantile: float) -> float:
        return self.latencies[min(int(quantile * len(self.latencies)), len(self.latencies) - 1)] * 1000


def ask(pool: Pool, question: Question, connections: int, seconds: float) -> Answers:
    """Asks for so many seconds and compares every answer; raises `WrongTransfer` if one is wrong."""
    return pool.apply(_ask, (question, connections, seconds))


def _ask(question: Question, connections: int, seconds: float) -> Answers:
    latencies = array("d")
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(connections):
            connection = stack.enter_context(_Connection(question, number))
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask()
        started = now = time.perf_counter()
        while now < started + seconds or not latencies:
            ready = selector.select(_PATIENCE)
            if not ready:
                raise WrongTransfer(f"{question.url}: no answer within {_PATIENCE} s")
            for key, _ in ready:
                connection = key.data
                if connection.receive():
                    latencies.append(connection.latency)
                    connection.ask()
            now = time.perf_counter()
    return Answers(now - started, array("d", sorted(latencies)))


class _Connection:
    def __init__(self, question: Question, number: int) -> None:
        parts = urlsplit(question.url)
        self.socket = socket.create_connection((parts.hostname, parts.port), _PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.latency = 0.0
        self._question = question
        self._random = random.Random(number)  # noqa: S311 - no secret
        target = parts._replace(scheme="", netloc="").geturl()
        self._head = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        self._status = b"HTTP/1.1 206" if question.range_bytes else b"HTTP/1.1 200"
        self._buffer = memoryview(bytearray(_RECEIVED_AT_ONCE))
        self._received = bytearray()
        self._first = 0
        self._expected = span(question.content, 0, question.size) if not question.range_bytes else b""
        self._request = f"{self._head}\r\n".encode()

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self) -> None:
        length = self._question.range_bytes
        if length:
            self._first = self._random.randrange(self._question.size - length + 1)
            self._expected = span(self._question.content, self._first, length)
            wanted = f"Range: bytes={self._first}-{self._first + length - 1}"
            self._request = f"{self._head}{wanted}\r\n\r\n".encode()
        self._asked = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> bool:
        """Takes what has come; whether that makes the answer complete, and it is right."""
        received = self._received
        count = self.socket.recv_into(self._buffer)
        received += self._buffer[:count]
        end = received.find(b"\r\n\r\n")
        if end < 0 and count:
            return False
        if not count or not received.startswith(self._status):
            raise WrongTransfer(f"{self._question.url}: the answer was {bytes(received[:300])!r}")
        head = bytes(received[:end]).lower()
        length = _LENGTH.search(head)
        if length and len(received) < end + 4 + int(length[1]):
            return False
        if not length and not received.endswith(b"\r\n0\r\n\r\n"):
            return False
        self.latency = time.perf_counter() - self._asked
        body = received[end + 4 :]
        if (body if length else _joined(body)) != self._expected or not self._is_there(head):
            raise WrongTransfer(f"{self._question.url}: other bytes arrived than were sent, or not all")
        received.clear()
        return True

    def _is_there(self, head: bytes) -> bool:
        """Whether a range is said to be where it was asked for."""
        last = self._first + len(self._expected) - 1
        said = f"\r\ncontent-range: bytes {self._first}-{last}/{self._question.size}".encode()
        return not self._question.range_bytes or said in head


def _joined(chunks: bytearray) -> bytes:
    """The body that came in these chunks."""
    body = bytearray()
    position = 0
    while size := int(chunks[position : (begin := chunks.index(b"\r\n", position))].split(b";")[0], 16):
        body += chunks[begin + 2 : begin + 2 + size]
        position = begin + 2 + size + 2
    return bytes(body)
