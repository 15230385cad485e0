"""What a server does beside answering requests, from its start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from app.api.quotas import Quotas
from app.api.readiness import Readiness
from app.api.threads import StorageThreads, finished
from app.errors import ArtifactError
from app.storage.base import Storage

logger = logging.getLogger(__name__)

_QUOTA_SECONDS = 60
_READINESS_SECONDS = 15


@asynccontextmanager
async def kept_up(
    storage: Storage, threads: StorageThreads, quotas: Quotas, readiness: Readiness, sweep_interval: float
) -> AsyncIterator[None]:
    """Within it leftovers are swept, and quotas and readiness looked at, now and then."""
    interval = min(sweep_interval, storage.sweep_every or sweep_interval)
    tasks = [
        _started("sweeping", _sweep(storage, threads, interval)),
        _started("measuring of quotas", quotas.keep_measured(_QUOTA_SECONDS)),
        _started("checking of readiness", readiness.keep_made(_READINESS_SECONDS)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            await finished(task)


def _started(name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            logger.error("The %s has ended: a defect of the server.", task.get_name(), exc_info=error)

    task = asyncio.create_task(work, name=name)
    task.add_done_callback(tell)
    return task


async def _sweep(storage: Storage, threads: StorageThreads, interval: float) -> None:
    """Removes what crashed servers left, now and every `interval` seconds."""
    while True:
        try:
            swept = await threads.run(storage.sweep)
            if swept:
                logger.info("Removed %d uploads that nobody had finished.", swept)
        except ArtifactError as error:
            message = "Could not look for unfinished uploads; will try again: %s Cause: %s"
            logger.warning(message, error, error.__cause__)
        except Exception:
            logger.exception("Could not look for unfinished uploads; will try again.")
        await asyncio.sleep(interval)
