"""Waiting for what happens soon, but in another process."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 20


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Returns as soon as `condition` holds; fails after a while, naming `what` did not come."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {SECONDS} s: {what}")
