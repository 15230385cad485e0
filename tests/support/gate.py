"""Where a fake storage waits, so that a test can look at what happens meanwhile."""

from __future__ import annotations

import threading

from tests.support.event_loop import PATIENCE


class Gate:
    """Where storage waits until the test lets it go on."""

    def __init__(self, *, closed: bool = False) -> None:
        self._passes = threading.Semaphore(0 if closed else 1_000_000)
        self.reached = 0

    def let_through(self, times: int = 1) -> None:
        self._passes.release(times)

    def wait(self) -> None:
        self.reached += 1
        assert self._passes.acquire(timeout=PATIENCE)
