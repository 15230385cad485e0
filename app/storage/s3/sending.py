"""What sends bytes to the store beside what comes next, as far as there is memory for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from app.budget import Budget


class Sending:
    """The requests of one upload, or of one batch. Used by one thread at a time."""

    def __init__(self, senders: ThreadPoolExecutor, memory: Budget, most: int | None = None) -> None:
        """`most`: how many at once; as many as there is memory for where that is not given."""
        self._senders = senders
        self._memory = memory
        self._most = most
        self.running: set[Future[None]] = set()

    def send(self, size: int, work: Callable[[], None]) -> None:
        """Does the work, which holds `size` bytes, in a thread of its own where there is room for it.

        Raises what any work has raised, before this one is begun.
        """
        finished = {one for one in self.running if one.done()}
        self.running -= finished
        _require_successful(finished)
        while len(self.running) == self._most or not self._memory.take(size):
            if not self.running:
                work()
                return
            finished, self.running = wait(self.running, return_when=FIRST_COMPLETED)
            _require_successful(finished)
        self.running.add(self._senders.submit(self._work_and_release, size, work))

    def finish(self) -> None:
        """Waits until all is done. Raises what any work has raised, and then no more is waited for."""
        _require_successful(self.running)
        self.running = set()

    def _work_and_release(self, size: int, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._memory.release(size)


def _require_successful(finished: Iterable[Future[None]]) -> None:
    for one in finished:
        one.result()
