"""What many share and none may take too much of, such as memory: given out in the order of asking."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from threading import Lock


class Budget:
    """Counts how much of something is taken. May be used from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._lock = Lock()

    @property
    def used(self) -> int:
        return self._used

    def reserve(self, size: int) -> Future[None]:
        """Done when `size` is granted; `withdraw` gives it back, or gives the wait up.

        More than there is at all is granted once nobody else has any.
        """
        granted: Future[None] = Future()
        with self._lock:
            self._waiting.append((size, granted))
        self._grant()
        return granted

    def withdraw(self, size: int, granted: Future[None]) -> None:
        """Gives a reservation back, whether it has been granted by now or not."""
        if not granted.cancel():
            self.release(size)
        else:
            self._grant()

    def take(self, size: int) -> bool:
        """Takes `size` more, at once, if there is so much that nobody waits for."""
        with self._lock:
            if self._waiting or self._used + size > self._limit:
                return False
            self._used += size
            return True

    def extend(self, held: int, size: int) -> bool:
        """Has whoever holds `held` hold `size` from now on, before all who wait, if there is so much, or if
        nobody else has any."""
        with self._lock:
            others = self._used - held
            if others and others + size > self._limit:
                return False
            self._used = others + size
            return True

    def release(self, size: int) -> None:
        """Gives `size` back; less than nothing is more that was taken than was asked for, and others wait."""
        with self._lock:
            self._used -= size
        self._grant()

    def _grant(self) -> None:
        with self._lock:
            while self._waiting:
                size, granted = self._waiting[0]
                if granted.cancelled():
                    self._waiting.popleft()
                    continue
                if self._used and self._used + size > self._limit:
                    return
                self._waiting.popleft()
                # From here on it cannot be cancelled any more.
                if granted.set_running_or_notify_cancel():
                    self._used += size
                    granted.set_result(None)
