"""The threads in which storage is called, so that the event loop touches no disk and no socket of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class StorageThreads:
    def __init__(self, count: int) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix="storage")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a blocking function in a thread.

        A thread cannot be interrupted: when the caller is cancelled, the call is waited for all
        the same, so whoever cleans up afterwards is alone with the upload or download.
        """
        call = asyncio.get_running_loop().run_in_executor(self._executor, lambda: function(*args, **kwargs))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await finished(call)
            raise

    async def acquire(self, acquire: Callable[[], T], release: Callable[[T], None]) -> T:
        """`run` for what must be released: done here if the caller is cancelled and cannot."""
        call = asyncio.ensure_future(self.run(acquire))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await finished(call)
            if not call.cancelled() and call.exception() is None:
                await self.run(release, call.result())
            raise

    def close(self) -> None:
        """Waits for the calls that are running."""
        self._executor.shutdown(cancel_futures=True)


async def finished(call: asyncio.Future[T]) -> None:
    """Waits until `call` is over, however it ends, even if cancelled again meanwhile.

    Its result or exception is for whoever awaits the call itself.
    """
    while not call.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([call])
    if not call.cancelled():
        call.exception()
