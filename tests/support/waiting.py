"""Waiting for what happens soon, but in another process."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 20


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Returns as soon as `condition` holds; fails after a while, naming `what` did not come."""
    assert comes_true(condition, SECONDS), f"not within {SECONDS} s: {what}"


def comes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` holds within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False
