"""Requests to a store take their time: several are made at once, and what comes of them is told in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

ABREAST = 8


class Abreast(Iterator[Outcome], Generic[Item, Outcome]):
    """The outcomes of some work on each item; a few are begun ahead. Used by one thread at a time."""

    def __init__(
        self, pool: ThreadPoolExecutor, work: Callable[[Item], Outcome], items: Iterable[Item]
    ) -> None:
        self._pool = pool
        self._work = work
        self._waiting = deque(items)
        self._begun: deque[tuple[Item, Future[Outcome]]] = deque()

    def __next__(self) -> Outcome:
        while self._waiting and len(self._begun) < ABREAST:
            item = self._waiting.popleft()
            self._begun.append((item, self._pool.submit(self._work, item)))
        if not self._begun:
            raise StopIteration
        _, outcome = self._begun.popleft()
        return outcome.result()

    def stop(self, patience: float) -> list[Item]:
        """Begins no more; waits so many seconds for what was begun; gives the items that were not."""
        begun, waiting = self._begun, self._waiting
        self._begun, self._waiting = deque(), deque()
        running = [outcome for _, outcome in begun if not outcome.cancel()]
        wait(running, patience)
        return [item for item, outcome in begun if outcome.cancelled()] + list(waiting)
