"""One request by a client that does no more than to move an answer or a body of any kind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Generic, TypeVar

from benchmarks.content import WrongTransfer
from benchmarks.load import connected

_LIMIT = 600
"""Seconds without any progress."""

T = TypeVar("T")


@dataclass(frozen=True)
class Exchanged(Generic[T]):
    seconds: float
    """Until all had come and was taken."""
    waited: float
    """Seconds until the answer's body began."""
    taken: T


def fetch(url: str, take: Callable[[HTTPResponse], T]) -> Exchanged[T]:
    """What `take` makes of the answer's body. Raises `WrongTransfer` for another status than 200."""
    with connected(url, _LIMIT) as (connection, target):
        started = time.monotonic()
        connection.request("GET", target)
        answer = connection.getresponse()
        if answer.status != 200:
            raise WrongTransfer(f"{url}: {answer.status} {answer.read(300)!r}")
        if not answer.peek(1):
            raise WrongTransfer(f"{url}: the answer ended before its first byte")
        began = time.monotonic()
        taken = take(answer)
        ended = time.monotonic()
        if answer.read(1):
            raise WrongTransfer(f"{url}: something is behind the end")
        return Exchanged(ended - started, began - started, taken)


def send(url: str, size: int, pieces: Iterable[bytes]) -> Exchanged[Any]:
    """What the JSON of the answer says. Raises `WrongTransfer` for another status than 201."""
    with connected(url, _LIMIT) as (connection, target):
        started = time.monotonic()
        connection.putrequest("PUT", target)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        for piece in pieces:
            connection.send(piece)
        answer = connection.getresponse()
        began = time.monotonic()
        body = answer.read()
        if answer.status != 201:
            raise WrongTransfer(f"{url}: {answer.status} {body[:300]!r}")
        return Exchanged(time.monotonic() - started, began - started, json.loads(body))
