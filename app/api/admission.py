"""How much is taken on at once. What does not fit waits for a while, in order, and is then sent away.

A transfer needs a place, and memory for its buffers, from its beginning to its end: so what was begun
can go on. Each worker has its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, get_args

from starlette.requests import Request

from app import metrics
from app.api.limits import Limits
from app.api.visit import GONE, LOOK, visit_of
from app.budget import Budget
from app.errors import Lacking, ServerBusy, UploadInterrupted

_LOOK_SECONDS = 2.0
"""How often those who wait are looked at, whether they are still there."""

Kind: TypeAlias = Literal["upload", "download", "listing", "deletion", "multipart"]

_RUNNING = {kind: metrics.TRANSFERS.labels(kind) for kind in get_args(Kind)}


class Transfer:
    """What one transfer has of the memory."""

    def __init__(self, memory: Budget, size: int, wait_for: Callable[[int], Awaitable[None]]) -> None:
        self._memory = memory
        self._size = size
        self._wait_for = wait_for

    def holds(self, size: int) -> None:
        """It turned out to hold `size` bytes from now on. If they are more than it got, others wait."""
        self._memory.release(self._size - size)
        self._size = size

    def grow_to(self, size: int) -> None:
        """As `holds`, for what grows with what a client has stored or sends; from any thread.

        Raises `ServerBusy` where others have so much that this would be too much.
        """
        if size > self._size and not self._memory.extend(self._size, size):
            raise ServerBusy("The server has no memory for so many files now; try again later.", "memory")
        if size < self._size:
            self._memory.release(self._size - size)
        self._size = size

    async def exchange(self, size: int) -> None:
        """Gives back what it has, and waits for `size` bytes. Raises as `begin_transfer` does."""
        self.holds(0)
        await self._wait_for(size)
        self._size = size


class Admission:
    def __init__(
        self, limits: Limits, *, places: int = 0, memory: int = sys.maxsize, patience: float = 30
    ) -> None:
        """`places`: for so many transfers, 0 for any; `memory`: bytes that all have together; `patience`:
        seconds that they wait for both."""
        self._limits = limits
        self._places = Budget(places or sys.maxsize)
        self._memory = Budget(memory)
        self._patience = patience

    async def begin_transfer(self, request: Request, kind: Kind, memory: int) -> Transfer:
        """A place and `memory` bytes until the request is over.

        More bytes than there are at all are given to whoever is alone. Raises `TooManyRequests` at once,
        `ServerBusy`, and `UploadInterrupted` where the client did not wait.
        """
        visit = visit_of(request)
        identity = visit.identity
        assert identity is not None
        self._limits.begin_transfer(identity)
        visit.at_end.append(lambda: self._limits.end_transfer(identity))
        clock = asyncio.get_running_loop().time
        end_of_patience = clock() + self._patience
        await self._take(self._places, 1, "places", request, end_of_patience)
        visit.at_end.append(lambda: self._places.release(1))
        await self._take(self._memory, memory, "memory", request, end_of_patience)

        async def wait_for(size: int) -> None:
            await self._take(self._memory, size, "memory", request, clock() + self._patience)

        transfer = Transfer(self._memory, memory, wait_for)
        visit.at_end.append(lambda: transfer.holds(0))
        _RUNNING[kind].inc()
        visit.at_end.append(_RUNNING[kind].dec)
        return transfer

    async def _take(
        self, budget: Budget, size: int, lacking: Lacking, request: Request, end_of_patience: float
    ) -> None:
        if not size or budget.take(size):
            return
        loop = asyncio.get_running_loop()
        granted, gone = budget.reserve(size), request.get(GONE, loop.create_future())
        look = request.get(LOOK, lambda: None)
        events = [asyncio.wrap_future(granted), gone]
        try:
            with metrics.WAITING.track_inprogress():
                while (seconds := end_of_patience - loop.time()) > 0:
                    timeout = min(seconds, _LOOK_SECONDS)
                    done, _ = await asyncio.wait(events, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                    if done:
                        break
                    look()
            if gone.done():
                visit_of(request).gone = True
                raise UploadInterrupted("The client went away before its turn came.")
            if not granted.done():
                message = "The server has as many transfers as it can take; try again later."
                raise ServerBusy(message, lacking)
        except BaseException:
            budget.withdraw(size, granted)
            raise
