"""Something that is done again and again beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def repeating(act: Callable[[], None], pause: float = 0) -> Iterator[None]:
    """Calls it in a thread, with so many seconds in between. What it raises is raised in the end."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(pause):
            act()

    with ThreadPoolExecutor(1) as thread:
        repeated = thread.submit(repeat)
        try:
            yield
        finally:
            over.set()
        repeated.result()
