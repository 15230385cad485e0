"""Very many slow clients at once, with little work for the machine."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.api.transfer import BATCH_BYTES
from tests.support.raw import head

_PIECE = 64 * 1024
_SENT_FIRST = BATCH_BYTES - 1
_RECEIVE_BUFFER = 16 * 1024
"""So that what a client does not read stays with the server."""
_PATIENCE = 120


@dataclass(frozen=True)
class Outcome:
    status: int | None
    """None where the connection ended without an answer."""
    retry_after: int = 0
    complete: bool = False
    """Whether all bytes came, and those that were expected."""


def crowd(clients: Iterable[Coroutine[Any, Any, Outcome]]) -> list[Outcome]:
    """Runs all of them at once, each in a connection of its own."""

    async def together() -> list[Outcome]:
        async with asyncio.timeout(_PATIENCE):
            return await asyncio.gather(*clients)

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return asyncio.run(together())


def statuses(outcomes: Iterable[Outcome]) -> Counter[int | None]:
    return Counter(outcome.status for outcome in outcomes)


async def upload(url: str, path: str, content: bytes, stall: float) -> Outcome:
    """Stalls with nearly a batch sent, so that the server has it in memory."""
    with _socket() as connected:
        try:
            await _connect(connected, url)
            begin = head("PUT", f"/v1/artifacts/{path}", f"Content-Length: {len(content)}")
            await _loop().sock_sendall(connected, begin + content[:_SENT_FIRST])
            await asyncio.sleep(stall)
            for start in range(_SENT_FIRST, len(content), _PIECE):
                await _loop().sock_sendall(connected, content[start : start + _PIECE])
        except ConnectionError:
            pass  # there may be an answer all the same
        status, fields, _ = await _answer(connected)
        return Outcome(status, _retry_after(fields), status in {200, 201})


async def download(url: str, path: str, content: bytes, stall: float) -> Outcome:
    """Stalls when the answer has begun."""
    with _socket() as connected:
        try:
            await _connect(connected, url)
            await _loop().sock_sendall(connected, head("GET", f"/v1/artifacts/{path}"))
        except ConnectionError:
            pass
        status, fields, received = await _answer(connected)
        if status != 200:
            return Outcome(status, _retry_after(fields))
        await asyncio.sleep(stall)
        position = len(received)
        same = received == content[:position]
        while position < len(content) and (piece := await _received(connected, _PIECE)):
            same &= piece == content[position : position + len(piece)]
            position += len(piece)
        return Outcome(status, complete=same and position == len(content))


def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def _socket() -> socket.socket:
    connected = socket.socket()
    connected.setblocking(False)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return connected


async def _connect(connected: socket.socket, url: str) -> None:
    parts = urlsplit(url)
    await _loop().sock_connect(connected, (parts.hostname, parts.port))


async def _answer(connected: socket.socket) -> tuple[int | None, bytes, bytes]:
    """Status, headers, and what came of the body with them."""
    begin = b""
    while b"\r\n\r\n" not in begin:
        piece = await _received(connected, 4096)
        if not piece:
            return None, b"", b""
        begin += piece
    fields, _, rest = begin.partition(b"\r\n\r\n")
    return int(fields.split()[1]), fields.lower(), rest


def _retry_after(fields: bytes) -> int:
    _, found, value = fields.partition(b"retry-after:")
    return int(value.split()[0]) if found else 0


async def _received(connected: socket.socket, size: int) -> bytes:
    try:
        return await _loop().sock_recv(connected, size)
    except ConnectionError:
        return b""
