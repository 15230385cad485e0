"""The threads in which storage is called, so that the event loop waits for no disk and no socket of it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

from app.errors import ServerBusy

P = ParamSpec("P")
T = TypeVar("T")


class StorageThreads:
    def __init__(self, count: int, patience: float | None = None) -> None:
        """No call waits for more than `patience` seconds for one of the `count` threads."""
        self.patience = patience
        self._count = count
        self._running = 0
        """Calls that run or wait for a thread."""
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="storage")
        self._cleaners = ThreadPoolExecutor(count, thread_name_prefix="storage-cleaner")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a blocking function in a thread. Raises `ServerBusy` if none gets free for it.

        A thread cannot be interrupted: when the caller is cancelled, a call that has begun is waited
        for all the same, so whoever cleans up afterwards is alone with the upload or download.
        """
        call = _begun(self._executor, partial(function, *args, **kwargs))
        result = asyncio.wrap_future(call)
        self._running += 1
        try:
            # Only then: most calls need no timer.
            if self._running > self._count and not await self._starts(call, result):
                raise ServerBusy("The storage is too slow for all requests; try again later.", "threads")
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            if not call.cancel():
                await finished(result)
            raise
        finally:
            self._running -= 1

    async def _starts(self, call: Future[T], result: asyncio.Future[T]) -> bool:
        """Whether the call has begun within our patience; if not, it never will."""
        await asyncio.wait([result], timeout=self.patience)
        return not call.cancel()

    async def clean_up(self, function: Callable[[], object]) -> None:
        """Calls what must be called, and is soon done, when all other threads wait for the storage, too."""
        call = asyncio.wrap_future(_begun(self._cleaners, function))
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:
            await finished(call)
            raise

    async def acquire(self, acquire: Callable[[], T], release: Callable[[T], None]) -> T:
        """`run` for what must be released: done here if the caller is cancelled and cannot."""
        acquired: list[T] = []
        try:
            await self.run(lambda: acquired.append(acquire()))
        except asyncio.CancelledError:
            for what in acquired:
                await self.clean_up(partial(release, what))
            raise
        return acquired[0]

    def close(self) -> None:
        """Waits for the calls that are running."""
        self._executor.shutdown(cancel_futures=True)
        self._cleaners.shutdown()


def _begun(executor: ThreadPoolExecutor, function: Callable[[], T]) -> Future[T]:
    context = contextvars.copy_context()  # which request it is for
    return executor.submit(context.run, function)


async def finished(call: asyncio.Future[T]) -> None:
    """Waits until `call` is over, however it ends, even if cancelled again meanwhile.

    Its result or exception is for whoever awaits the call itself.
    """
    while not call.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([call])
    if not call.cancelled():
        call.exception()
