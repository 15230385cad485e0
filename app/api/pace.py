"""Clients that stall: each holds memory and a place among the transfers, so none is waited for for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from app.errors import TransferTooSlow

_LOOKS = 10
"""How often within its patience a transfer is looked at."""


class Pace(NamedTuple):
    rate: int
    """Bytes per second that a client has to keep up on average; 0 for none."""
    patience: float
    """Seconds that it may fall behind."""


class Watch:
    """Counts only the time in which the client is waited for: slow storage is nobody's fault there.

    What a client falls behind the rate it can make up for, but it cannot save up for a pause.
    """

    def __init__(self, pace: Pace, loop: asyncio.AbstractEventLoop) -> None:
        self._pace = pace
        self._loop = loop
        self._credit = pace.patience
        self._waiting_since: float | None = None

    def waits(self) -> None:
        """The client has to move now."""
        self._waiting_since = self._loop.time()

    def moved(self, size: int) -> None:
        """The client sent or took `size` bytes."""
        if self._waiting_since is not None and self._pace.rate:
            waited = self._loop.time() - self._waiting_since
            self._credit = min(self._pace.patience, self._credit - waited + size / self._pace.rate)
        self._waiting_since = None

    def is_over(self) -> bool:
        return self._waiting_since is not None and self._loop.time() - self._waiting_since > self._credit


@asynccontextmanager
async def watched(pace: Pace) -> AsyncIterator[Watch]:
    """Gives the watch of a transfer, which raises `TransferTooSlow` once the client has stalled too long."""
    loop = asyncio.get_running_loop()
    watch = Watch(pace, loop)
    if not pace.rate:
        yield watch
        return
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if watch.is_over():
            # One timer for the whole transfer: setting one for each piece would cost more than the piece.
            deadline.reschedule(loop.time())
        else:
            timer = loop.call_later(pace.patience / _LOOKS, look)

    timer = loop.call_later(pace.patience / _LOOKS, look)
    try:
        async with asyncio.timeout(None) as deadline:
            yield watch
    except TimeoutError:
        if not deadline.expired():
            raise
        raise TransferTooSlow(
            f"The transfer was slower than {pace.rate} bytes per second for {pace.patience:g} seconds."
        ) from None
    finally:
        timer.cancel()
