"""An event loop for one test, and waiting in it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

PATIENCE = 20
A_MOMENT = 0.05
"""Seconds in which what must not happen would have happened."""


def run(main: Coroutine[Any, Any, object]) -> None:
    """Runs a test in an event loop that must have nothing to complain of in the end."""
    complaints: list[str] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        await asyncio.wait_for(main, PATIENCE)
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(watched())
    assert complaints == []


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - it comes from other threads
        await asyncio.sleep(0.002)
