"""The memory that all uploads of one process share for what they have not yet sent on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from threading import Lock


class UploadMemory:
    """Counts bytes. An upload has a share from its first bytes on, granted in the order of asking.

    With its share an upload always gets on, whatever the others do; room that is left over lets it
    send several parts at once. So a slow client delays nobody who has a share already.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._waiting: deque[tuple[int, Future[None]]] = deque()
        self._lock = Lock()

    def reserve(self, size: int) -> Future[None]:
        """Done when `size` bytes are granted; `withdraw` gives them back, or gives the wait up.

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
        """Takes `size` bytes more, at once, if there are so many that nobody waits for."""
        with self._lock:
            if self._waiting or self._used + size > self._limit:
                return False
            self._used += size
            return True

    def release(self, size: int) -> None:
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
