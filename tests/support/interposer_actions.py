"""What the interposer may do with a request in place of passing it on: what a test wants broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from xml.sax.saxutils import escape

from tests.support.interposer_exchange import Exchange

Action = Callable[[Exchange], None]


def forward(exchange: Exchange) -> None:
    """What happens without a rule; as one, it lets requests pass by the rules after it."""
    exchange.reply(exchange.forward())


def refuse(exchange: Exchange) -> None:
    """Resets the connection as soon as the request's head is there; the store learns of nothing."""
    exchange.reset()


def hang(exchange: Exchange) -> None:
    """Takes the whole request, forwards nothing and never answers."""
    exchange.drain()
    exchange.wait_for_end()


def hang_before_body(exchange: Exchange) -> None:
    """Takes the request's head and then nothing more, so that a client with a large body cannot send it."""
    exchange.interposer.closed.wait()
    exchange.reset()


def cut_after_forwarding(exchange: Exchange) -> None:
    """Lets the store do its work and answer, and then resets the connection without a reply."""
    for _ in exchange.forward().pieces:
        pass
    exchange.reset()


def hang_after_forwarding(exchange: Exchange) -> None:
    """Lets the store do its work and answer, and then never replies."""
    for _ in exchange.forward().pieces:
        pass
    exchange.wait_for_end()


def answer(
    status: int,
    code: str = "SlowDown",
    message: str = "Made by a test.",
    headers: Mapping[str, str] | None = None,
    *,
    early: bool = False,
) -> Action:
    """An error of S3 in place of the store; `early` is before the request's body, and ends the connection."""
    text = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()

    def act(exchange: Exchange) -> None:
        if not early:
            exchange.drain()
        connection = {"Connection": "close"} if early else {}
        exchange.send(status, body, {"Content-Type": "application/xml"} | connection | dict(headers or {}))
        exchange.goes_on = not early

    return act


def raw(data: bytes) -> Action:
    """These bytes in place of an answer, and then the end of the connection."""

    def act(exchange: Exchange) -> None:
        exchange.drain()
        exchange.send_raw(data)

    return act


def replace_body(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Action:
    """Lets the store do its work, and then answers this instead."""

    def act(exchange: Exchange) -> None:
        for _ in exchange.forward().pieces:
            pass
        exchange.send(status, body, {"Content-Type": "application/xml"} | dict(headers or {}))

    return act


def cut_body(after_bytes: int) -> Action:
    """The answer's head and so many bytes of its body, and then a reset."""

    def act(exchange: Exchange) -> None:
        _reply_in_part(exchange, after_bytes)
        exchange.reset()

    return act


def stall_body(after_bytes: int) -> Action:
    """The answer's head and so many bytes of its body, and then nothing more."""

    def act(exchange: Exchange) -> None:
        _reply_in_part(exchange, after_bytes)
        exchange.wait_for_end()

    return act


def flip_request_byte(offset: int) -> Action:
    """Another byte than the client has sent, at `offset` of the request's body."""
    return lambda exchange: exchange.reply(exchange.forward(lambda pieces: _flipped(pieces, offset)))


def flip_response_byte(offset: int) -> Action:
    """Another byte than the store has sent, at `offset` of the answer's body."""
    return lambda exchange: exchange.reply(exchange.forward(), lambda pieces: _flipped(pieces, offset))


def later(seconds: int) -> Action:
    """A store whose clock says that so much time has gone by."""
    now = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True).encode()

    def act(exchange: Exchange) -> None:
        response = exchange.forward()
        response.head, found = re.subn(rb"(?im)^Date: [^\r]*", b"Date: " + now, response.head)
        assert found == 1
        exchange.reply(response)

    return act


def delay(seconds: float, then: Action = forward) -> Action:
    """Waits before anything but the request's head is read."""

    def act(exchange: Exchange) -> None:
        exchange.interposer.closed.wait(seconds)
        then(exchange)

    return act


class _Enough(Exception):
    """The client has got as much of a body as it gets."""


def _reply_in_part(exchange: Exchange, count: int) -> None:
    """The head and the first `count` bytes; nothing tells the client that the rest does not come."""
    with suppress(_Enough):
        exchange.reply(exchange.forward(), lambda pieces: _first(pieces, count))


def _first(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    left = count
    while left:
        piece = next(pieces, b"")
        assert piece, f"the body has only {count - left} bytes"
        yield piece[:left]
        left -= min(left, len(piece))
    raise _Enough


def _flipped(pieces: Iterator[bytes], offset: int) -> Iterator[bytes]:
    start = 0
    for piece in pieces:
        at = offset - start
        start += len(piece)
        yield piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :] if 0 <= at < len(piece) else piece
    assert offset < start, f"the body has only {start} bytes"
