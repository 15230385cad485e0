"""Uploads and downloads by processes of their own, with little work for each byte.

An artifact is one block over and over, begun at another offset for each artifact: so all that
arrives is compared with what it must be, at the cost of comparing memory.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from multiprocessing.pool import Pool
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

BLOCK_BYTES = 256 * 1024
_STALL_AFTER = 1024 * 1024
_SLOW_RECEIVE_BUFFER = 64 * 1024  # so that what a slow client does not read stays with the server
_STEP = 4099  # a prime: blocks of different artifacts differ everywhere

Method: TypeAlias = Literal["PUT", "GET"]


@dataclass(frozen=True)
class Transfer:
    method: Method
    url: str
    size: int
    content: int
    """Which bytes the artifact has: one number, one content."""
    stall: float = 0
    """Seconds that the client pauses after some of the bytes."""
    limit: float = 600
    """Seconds without any progress after which the client gives up."""


@dataclass(frozen=True)
class Outcome:
    started: float
    ended: float
    """Both in seconds of the monotonic clock, which all processes share."""
    error: str | None


class WrongTransfer(Exception):
    """The server did not do what it should."""


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """Processes for `run`, which are ready and do not outlive the block."""
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        pool.map(time.sleep, [0.1] * count, chunksize=1)
        yield pool


def run(pool: Pool, count: int, transfers: Sequence[Transfer], limit: float) -> list[Outcome]:
    """Does all the transfers at once, spread over `count` processes, within `limit` seconds."""
    groups = [group for group in (transfers[first::count] for first in range(count)) if group]
    done = pool.map_async(_run_group, groups, chunksize=1).get(limit)
    return [outcome for outcomes in done for outcome in outcomes]


def _run_group(transfers: Sequence[Transfer]) -> list[Outcome]:
    with ThreadPoolExecutor(len(transfers)) as threads:
        return list(threads.map(_run_one, transfers))


def _run_one(transfer: Transfer) -> Outcome:
    error = None
    started = time.monotonic()
    try:
        if transfer.method == "PUT":
            _upload(transfer)
        else:
            _download(transfer)
    except (OSError, HTTPException, WrongTransfer) as caught:
        error = f"{transfer.method} {transfer.url}: {caught!r}"
    return Outcome(started, time.monotonic(), error)


def _upload(transfer: Transfer) -> None:
    block = _block(transfer.content)
    with _connected(transfer) as (connection, path):
        connection.putrequest("PUT", path)
        connection.putheader("Content-Length", str(transfer.size))
        connection.endheaders()
        for position in range(0, transfer.size, BLOCK_BYTES):
            _stall_if_due(transfer, position)
            connection.send(block[: transfer.size - position])
        response = connection.getresponse()
        answer = response.read()
        if response.status not in {200, 201}:
            raise WrongTransfer(f"{response.status} {answer[:300]!r}")


def _download(transfer: Transfer) -> None:
    expected = _block(transfer.content)
    buffer = bytearray(BLOCK_BYTES)
    with _connected(transfer) as (connection, path):
        if transfer.stall:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_RECEIVE_BUFFER)
        connection.request("GET", path)
        response = connection.getresponse()
        if (response.status, response.length) != (200, transfer.size):
            raise WrongTransfer(f"{response.status} {response.length} {response.read(300)!r}")
        for position in range(0, transfer.size, BLOCK_BYTES):
            _stall_if_due(transfer, position)
            count = response.readinto(buffer)
            _compare(buffer, expected, count, min(BLOCK_BYTES, transfer.size - position))
        if response.read():
            raise WrongTransfer("more bytes than the Content-Length says")


@contextmanager
def _connected(transfer: Transfer) -> Iterator[tuple[HTTPConnection, str]]:
    """A connection to the server, and the path for the request line."""
    parts = urlsplit(transfer.url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=transfer.limit)
    try:
        connection.connect()
        yield connection, parts.path
    finally:
        connection.close()


def _stall_if_due(transfer: Transfer, position: int) -> None:
    """Pauses once, not at the same point of every artifact."""
    if transfer.stall and position == _STALL_AFTER + transfer.content % 4 * BLOCK_BYTES:
        time.sleep(transfer.stall)


class Stored(Protocol):
    """What is kept of an upload, as it is read behind the server's back."""

    def readinto(self, buffer: bytearray, /) -> int: ...
    def read(self, count: int, /) -> bytes: ...


def verify(stored: Stored, size: int, content: int) -> None:
    """Raises `WrongTransfer` unless it has the bytes that were uploaded."""
    expected = _block(content)
    buffer = bytearray(BLOCK_BYTES)
    for position in range(0, size, BLOCK_BYTES):
        _compare(buffer, expected, stored.readinto(buffer), min(BLOCK_BYTES, size - position))
    if stored.read(1):
        raise WrongTransfer(f"it is longer than {size} bytes")


def _compare(buffer: bytearray, expected: bytes, count: int, wanted: int) -> None:
    if count != wanted:
        raise WrongTransfer("the bytes ended too early")
    same = buffer == expected if count == BLOCK_BYTES else buffer[:count] == expected[:count]
    if not same:
        raise WrongTransfer("other bytes arrived than were uploaded")


@cache
def _block(content: int) -> bytes:
    block = hashlib.shake_256(b"artifact-proxy").digest(BLOCK_BYTES)
    offset = content * _STEP % BLOCK_BYTES
    return block[offset:] + block[:offset]
