"""Whether requests had better be sent to this server: its storage, its disk, and whether it is to stop.

What is asked of the storage may hang. So each check is made in a thread of its own, for which nobody
waits long, the end of the process included.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from app import metrics
from app.api.drain import Drain
from app.errors import ArtifactError, StorageFull
from app.storage.base import Storage

logger = logging.getLogger(__name__)

FRESH_SECONDS = 5
"""For so long an outcome holds."""
PATIENCE_SECONDS = 3
"""A check that takes longer has failed; whoever asks for it waits no longer either."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check. The message is fit for anybody; the cause of a failure is for the log."""

    ok: bool
    seconds: float
    """That the check took, or has taken so far."""
    message: str
    cause: BaseException | None = None


class NotReady(Exception):
    """A check has found out that it is better to ask another server; the text is fit for anybody."""


class Readiness:
    def __init__(self, storage: Storage, drain: Drain) -> None:
        self._storage = storage
        self._drain = drain
        self._checks = [_Check("storage", self._ask_storage), _Check("disk", self._ask_disk)]
        self._outcomes: dict[str, Outcome] = {}
        self._made = -math.inf
        """When the outcomes became known."""
        self._making: asyncio.Task[None] | None = None
        self._followed = asyncio.Event()

    def follow(self) -> None:
        """From now on the checks are made now and then, because somebody reads the metrics of them.

        Not before: stores bill each request.
        """
        self._followed.set()

    async def outcomes(self) -> dict[str, Outcome]:
        """By the names of the checks; at most a few seconds old, and here within as many."""
        self.follow()
        if not self._drain.begun and time.monotonic() - self._made >= FRESH_SECONDS:
            await self._make()
        return self._outcomes | {"draining": self._stays()}

    async def keep_made(self, interval: float) -> None:
        """Makes the checks every `interval` seconds, once they are followed, until it is cancelled."""
        await self._followed.wait()
        try:
            while True:
                await self._make()
                self._stays()
                await asyncio.sleep(interval)
        finally:
            if self._making is not None:
                self._making.cancel()
                await asyncio.wait([self._making])

    async def _make(self) -> None:
        """However many ask, the checks are made once."""
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make_all())
        await asyncio.shield(self._making)

    async def _make_all(self) -> None:
        made = await asyncio.gather(*(check.make() for check in self._checks))
        self._outcomes = {check.name: outcome for check, outcome in zip(self._checks, made, strict=True)}
        self._made = time.monotonic()

    def _stays(self) -> Outcome:
        metrics.READY.labels("draining").set(not self._drain.begun)
        if self._drain.begun:
            return Outcome(False, 0, "The server is about to stop; ask another one.")
        return Outcome(True, 0, "The server takes requests.")

    def _ask_storage(self) -> str:
        try:
            self._storage.check()
        except StorageFull as error:
            raise NotReady("The storage has no room left.") from error
        return "The storage can be used."

    def _ask_disk(self) -> str:
        room = self._storage.room()
        metrics.DISK_FREE.set(math.nan if room is None else room.free)
        if room is not None and room.left < 0:
            raise NotReady("The disk has less room left than its reserve.")
        return "The disk has room."


class _Check:
    """One question, which may never be answered, and is not asked again before it is."""

    def __init__(self, name: str, ask: Callable[[], str]) -> None:
        """`ask` gives a message where all is well, and raises where not."""
        self.name = name
        self._ask = ask
        self._asked: Future[Outcome] | None = None
        self._begun = 0.0
        self._told: str | None = None
        """The message of the last failure, None after a success."""

    async def make(self) -> Outcome:
        patience = 0  # for one that has had its time before
        if self._asked is None or self._asked.done():
            self._asked = self._begin()
            patience = PATIENCE_SECONDS
        outcome = await _answer(self._asked, patience)
        if outcome is None:
            taken = time.monotonic() - self._begun
            outcome = Outcome(False, taken, f"There was no answer within {PATIENCE_SECONDS} seconds.")
        self._tell(outcome)
        return outcome

    def _begin(self) -> Future[Outcome]:
        asked: Future[Outcome] = Future()
        asked.set_running_or_notify_cancel()
        self._begun = time.monotonic()
        # No thread of a pool, which the end of the process would wait for.
        thread = threading.Thread(
            target=lambda: asked.set_result(self._outcome()), name=f"ready-{self.name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            asked.set_result(Outcome(False, 0, "The server can have no more threads.", error))
        return asked

    def _outcome(self) -> Outcome:
        begun = time.monotonic()
        try:
            message = self._ask()
        except NotReady as error:
            return Outcome(False, time.monotonic() - begun, str(error), error.__cause__)
        except Exception as error:
            message = "The check failed; the server's log has the cause."
            return Outcome(False, time.monotonic() - begun, message, error)
        return Outcome(True, time.monotonic() - begun, message)

    def _tell(self, outcome: Outcome) -> None:
        """To the metrics, and where it is another than before, to the log."""
        metrics.READY.labels(self.name).set(outcome.ok)
        failure = None if outcome.ok else outcome.message
        if failure == self._told:
            return
        self._told = failure
        if failure is None:
            logger.info("Ready again as to the %s.", self.name)
        elif isinstance(outcome.cause, ArtifactError):
            message = "Not ready as to the %s: %s %s Cause: %s"
            logger.error(message, self.name, failure, outcome.cause, outcome.cause.__cause__)
        else:
            logger.error("Not ready as to the %s: %s", self.name, failure, exc_info=outcome.cause)


async def _answer(asked: Future[Outcome], patience: float) -> Outcome | None:
    """What is answered within `patience` seconds, if anything is."""
    waiting = asyncio.wrap_future(asked)
    try:
        await asyncio.wait([waiting], timeout=patience)
    finally:
        waiting.cancel()  # which does nothing to a thread, and nothing if it is done
    return asked.result() if asked.done() else None
