"""Uploads and downloads by processes of their own, with little work for each byte."""

from __future__ import annotations

import multiprocessing
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing.pool import Pool
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from benchmarks.content import BLOCK_BYTES, WrongTransfer, compare, pieces

_STALL_AFTER = 4 * BLOCK_BYTES
_SLOW_RECEIVE_BUFFER = 64 * 1024  # so that what a slow client does not read stays with the server

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
    break_off: float = float("inf")
    """Seconds after which the client leaves, wherever it is; 0 for right after the first byte."""
    limit: float = 600
    """Seconds without any progress after which the client gives up."""


@dataclass(frozen=True)
class Outcome:
    started: float
    first_byte: float
    """When the answer's body began; for an upload, when the answer had come."""
    ended: float
    """All in seconds of the monotonic clock, which all processes share."""
    bytes: int
    error: str | None

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def waited(self) -> float:
        return self.first_byte - self.started


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """Processes for clients, which are ready and do not outlive the block."""
    context = multiprocessing.get_context("spawn")
    # Ctrl-C is for the process that started them, which ends them.
    with context.Pool(count, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        pool.map(time.sleep, [0.1] * count, chunksize=1)
        yield pool


def seconds_of_all(outcomes: Sequence[Outcome]) -> float:
    """From the first beginning to the last end. Raises `WrongTransfer` if one of them was wrong."""
    for outcome in outcomes:
        if outcome.error:
            raise WrongTransfer(outcome.error)
    return max(outcome.ended for outcome in outcomes) - min(outcome.started for outcome in outcomes)


def run(pool: Pool, count: int, transfers: Sequence[Transfer], limit: float) -> list[Outcome]:
    """Does all the transfers at once, spread over `count` processes, within `limit` seconds.

    The outcomes are in the order of the transfers.
    """
    count = min(count, len(transfers))
    groups = [transfers[first::count] for first in range(count)]
    done = pool.map_async(_run_group, groups, chunksize=1).get(limit)
    return [done[number % count][number // count] for number in range(len(transfers))]


def run_one(pool: Pool, transfer: Transfer) -> Outcome:
    """Does it in a process of its own, and raises `WrongTransfer` if it went wrong."""
    (outcome,) = run(pool, 1, [transfer], transfer.limit)
    if outcome.error:
        raise WrongTransfer(outcome.error)
    return outcome


def _run_group(transfers: Sequence[Transfer]) -> list[Outcome]:
    with ThreadPoolExecutor(len(transfers)) as threads:
        return list(threads.map(_run_one, transfers))


def _run_one(transfer: Transfer) -> Outcome:
    progress = _Progress(transfer)
    error = None
    try:
        if transfer.method == "PUT":
            _upload(transfer, progress)
        else:
            _download(transfer, progress)
    except (OSError, HTTPException, WrongTransfer) as caught:
        error = f"{transfer.method} {transfer.url}: {caught!r}"
    ended = time.monotonic()
    return Outcome(progress.started, progress.first_byte or ended, ended, progress.bytes, error)


class _Progress:
    """How far a transfer is."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self.started = time.monotonic()
        self.first_byte = 0.0
        self.bytes = 0

    def goes_on(self) -> bool:
        """Pauses if the client is to pause here; whether it then goes on at all."""
        transfer = self._transfer
        # Not at the same point of every artifact.
        if transfer.stall and self.bytes == _STALL_AFTER + transfer.content % 4 * BLOCK_BYTES:
            time.sleep(transfer.stall)
        return time.monotonic() - self.started < transfer.break_off


def _upload(transfer: Transfer, progress: _Progress) -> None:
    with connected(transfer.url, transfer.limit) as (connection, target):
        connection.putrequest("PUT", target)
        connection.putheader("Content-Length", str(transfer.size))
        connection.endheaders()
        for piece in pieces(transfer.size, transfer.content):
            if not progress.goes_on():
                return
            connection.send(piece)
            progress.bytes += len(piece)
        response = connection.getresponse()
        answer = response.read()
        if response.status not in {200, 201, 204}:
            raise WrongTransfer(f"{response.status} {answer[:300]!r}")


def _download(transfer: Transfer, progress: _Progress) -> None:
    buffer = bytearray(BLOCK_BYTES)
    with connected(transfer.url, transfer.limit) as (connection, target):
        if transfer.stall:
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_RECEIVE_BUFFER)
        connection.request("GET", target)
        response = connection.getresponse()
        if response.status != 200 or response.length not in {transfer.size, None}:  # MLflow sends chunks
            raise WrongTransfer(f"{response.status} {response.length} {response.read(300)!r}")
        if not response.peek(1):
            raise WrongTransfer("the answer ended before its first byte")
        progress.first_byte = time.monotonic()
        for position in range(0, transfer.size, BLOCK_BYTES):
            if not progress.goes_on():
                return
            count = response.readinto(buffer)
            compare(buffer, count, transfer.size, position, transfer.content)
            progress.bytes += count
        if response.read():
            raise WrongTransfer(f"it is longer than {transfer.size} bytes")


@contextmanager
def connected(url: str, limit: float) -> Iterator[tuple[HTTPConnection, str]]:
    """A connection to the server, and the target for the request line.

    `limit` is seconds without any progress after which the client gives up.
    """
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=limit)
    try:
        connection.connect()
        yield connection, parts._replace(scheme="", netloc="").geturl()
    finally:
        connection.close()
