"""A connection that neither loses an answer nor waits for ever for whoever does not take it.

A socket that is closed with unread data resets the connection, and that takes the answer from a
client that has not read it yet. So our side is shut for writing only, and what still comes is
dropped for a while. What waits to be sent of a response that is broken off is dropped at once.
"""

from __future__ import annotations

import asyncio
import logging
import select
import termios
from array import array
from collections.abc import Callable
from fcntl import ioctl
from typing import Any

from app.api.pace import Pace

logger = logging.getLogger(__name__)

LINGER_SECONDS = 5.0
_DROPPED_BYTES = 64 * 1024 * 1024
"""More than is on its way when a client that listens sees the end."""


class LingeringTransport(asyncio.Transport):
    """The transport of a connection, closed with care, and given up if its client takes too little."""

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        pace: Pace,
        expects_more: Callable[[], bool],
        breaks_off: Callable[[], bool],
        lingers: Callable[[], None],
    ) -> None:
        """`expects_more` tells whether the client may be in the middle of a request, `breaks_off` whether the
        response is not complete; `lingers` is called when only dropping what still comes is left to do."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._pace = pace
        self._expects_more = expects_more
        self._breaks_off = breaks_off
        self._lingers = lingers
        self._closing = False
        self._dropped = 0
        self._written = 0
        self._watching: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._breaks_off():
            self._transport.abort()
            return
        self.watch()
        if self._transport.is_closing() or not self._expects_more() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(LINGER_SECONDS, self._transport.close)
        self._lingers()

    def watch(self) -> None:
        """From now on the client must take what waits to be sent, at the pace that is demanded."""
        waiting = self._waiting()
        if waiting and self._pace.rate and self._watching is None:
            self._watching = self._loop.call_later(
                self._pace.patience, self._look, self._written - waiting, waiting
            )

    def _look(self, taken_before: int, waited: int) -> None:
        self._watching = None
        taken = self._written - self._waiting() - taken_before
        if taken < min(waited, self._pace.rate * self._pace.patience):
            logger.warning("Gave up a client that took less than %d bytes per second.", self._pace.rate)
            self._transport.abort()
        else:
            self.watch()

    def _waiting(self) -> int:
        """Bytes that the client has not acknowledged, here and in the system, whose buffer is large."""
        unsent = array("i", [0])
        try:
            ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, unsent)
        except (OSError, ValueError):
            return 0  # closed meanwhile
        return self._transport.get_write_buffer_size() + unsent[0]

    def peer_is_gone(self) -> bool:
        """Whether the client has closed the connection, or broken it, though what it sent is not read yet."""
        looking = select.poll()
        try:
            looking.register(self._transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        except (OSError, ValueError):
            return True  # closed meanwhile
        return bool(looking.poll(0))

    def drop(self, size: int) -> None:
        """Counts what came and nobody reads any more, and ends the connection if it is too much."""
        self._dropped += size
        if self._dropped > _DROPPED_BYTES:
            self._transport.close()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if not self._closing:
            self._written += len(data)
            self._transport.write(data)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def abort(self) -> None:
        self._transport.abort()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()
