"""SIGHUP: the access file is read again, while transfers go on."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.audit import AuditLog
from app.identity.access_file import InvalidAccessFile
from app.identity.identities import Identities

logger = logging.getLogger(__name__)


@contextmanager
def reloading(identities: Identities, audit: AuditLog) -> Iterator[None]:
    """Within it, the signal reloads; a file that cannot be used changes nothing but the log."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can signals be handled
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGHUP)
    one_at_a_time = asyncio.Lock()  # else an older reading of the file could end up as the last
    running: set[asyncio.Task[None]] = set()

    async def reload() -> None:
        try:
            async with one_at_a_time:
                identities.use(await asyncio.to_thread(identities.read))
        except InvalidAccessFile as error:
            logger.error("The access file was not reloaded, and the old one holds: %s", error)
            outcome = "failed"
        except Exception:
            logger.exception("The access file was not reloaded, and the old one holds.")
            outcome = "failed"
        else:
            logger.info("The access file was reloaded.")
            outcome = "done"
        audit.write({"event": "reload", "outcome": outcome})

    def begin() -> None:
        task = loop.create_task(reload())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, before)
