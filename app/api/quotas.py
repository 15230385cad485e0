"""How many bytes may lie below a prefix. Measured now and then, and counted in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from app.api.threads import StorageThreads
from app.errors import QuotaExceeded, TryLater
from app.paths import ArtifactPath

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Account:
    """What is known of one prefix, in bytes."""

    limit: int
    measured: int | None = None
    """None until the storage was asked."""
    stored: int = 0
    """By this worker, since it was measured. What was replaced counts until the next measuring."""
    coming: int = 0
    """Of the uploads that are running, as far as they are announced or have come."""

    @property
    def taken(self) -> int:
        return (self.measured or 0) + self.stored + self.coming


class Reservation:
    """The room of one upload below all prefixes that it counts for."""

    def __init__(self, accounts: Mapping[ArtifactPath, _Account], lock: Lock) -> None:
        self._accounts = accounts
        self._lock = lock
        self.size = 0

    def grow_to(self, size: int) -> None:
        """Takes room for `size` bytes in all. Raises `QuotaExceeded`, and `TryLater` before it is known."""
        if not self._accounts:
            return
        with self._lock:
            self._judge(size)
            if size > self.size:
                self._move(coming=size - self.size)
                self.size = size

    def _judge(self, size: int) -> None:
        for prefix, account in self._accounts.items():
            if account.measured is None:
                raise TryLater("The server does not know yet how much room there is; try again later.")
            if account.taken - self.size + size > account.limit:
                raise QuotaExceeded(
                    f"{str(prefix)!r} may hold {account.limit} bytes, of which about {account.taken} are "
                    "taken; delete something there, or ask who runs this server for more."
                )

    def keep(self) -> None:
        """The upload was stored."""
        with self._lock:
            self._move(stored=self.size, coming=-self.size)
            self.size = 0

    def release(self) -> None:
        with self._lock:
            self._move(coming=-self.size)
            self.size = 0

    def _move(self, *, stored: int = 0, coming: int = 0) -> None:
        for account in self._accounts.values():
            account.stored += stored
            account.coming += coming


class Reservations:
    """The room of many uploads that belong together, below each prefix that any of them counts for."""

    def __init__(self, reservations: Mapping[ArtifactPath, Reservation]) -> None:
        self._reservations = reservations

    def grow(self, path: ArtifactPath, size: int) -> None:
        """Takes room for `size` bytes more of the upload to `path`. See `Reservation.grow_to`."""
        for prefix, reservation in self._reservations.items():
            if _is_below(path, prefix):
                reservation.grow_to(reservation.size + size)

    def keep(self) -> None:
        for reservation in self._reservations.values():
            reservation.keep()

    def release(self) -> None:
        for reservation in self._reservations.values():
            reservation.release()


def _is_below(path: ArtifactPath, prefix: ArtifactPath) -> bool:
    return path.segments[: len(prefix.segments)] == prefix.segments


class Quotas:
    """Each worker knows at once what it stored, and from the next measuring what others stored or deleted."""

    def __init__(
        self,
        limits: Mapping[ArtifactPath, int],
        usage: Callable[[ArtifactPath], int] | None,
        threads: StorageThreads,
    ) -> None:
        """`usage` is that of the storage; without it there can be no limits."""
        assert usage is not None or not limits
        self._accounts = {prefix: _Account(limit) for prefix, limit in limits.items()}
        self._usage = usage
        self._threads = threads
        self._lock = Lock()
        """Of all accounts: many uploads that belong together are counted in threads."""

    @contextmanager
    def reservation(self, path: ArtifactPath) -> Iterator[Reservation]:
        """For an upload to `path`; what was not kept in the end is free again."""
        reserved = Reservation(
            {prefix: account for prefix, account in self._accounts.items() if _is_below(path, prefix)},
            self._lock,
        )
        try:
            yield reserved
        finally:
            reserved.release()

    @contextmanager
    def reservations(self) -> Iterator[Reservations]:
        """For many uploads; what was not kept in the end is free again."""
        accounts = self._accounts.items()
        reserved = Reservations(
            {prefix: Reservation({prefix: account}, self._lock) for prefix, account in accounts}
        )
        try:
            yield reserved
        finally:
            reserved.release()

    async def measure(self) -> None:
        """Asks the storage how much lies below each prefix."""
        for prefix, account in self._accounts.items():
            assert self._usage is not None
            before = account.stored
            try:
                account.measured = await self._threads.run(self._usage, prefix)
            except Exception:
                logger.exception("Could not measure what lies below %a; will try again.", str(prefix))
            else:
                # What was stored meanwhile may be in it or not; counting it twice is the safe side.
                with self._lock:
                    account.stored -= before

    async def keep_measured(self, interval: float) -> None:
        """Measures every `interval` seconds."""
        while self._accounts:
            await self.measure()
            await asyncio.sleep(interval)
