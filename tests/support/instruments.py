"""What a process does, as it counts itself: the calls of functions in it, and the memory that it takes.

A signal begins that, and the same signal ends it, after which the outcome is in a file. Calls are those
of functions in Python, and of those in C that Python calls, but for classes: Python tells of no others.
Left out are the threads that write logs: they gather lines for a while, so what they do depends on the time.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import tracemalloc
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

CALLS = signal.SIGUSR1
MEMORY = signal.SIGUSR2


class Calls:
    def __init__(self) -> None:
        self._counting = False
        self._called: list[CodeType | str] = []

    def begin(self) -> None:
        """In this thread, and in those that have come to `in_new_thread`."""
        self._counting = True
        sys.setprofile(self._note)

    def end(self) -> Counter[str]:
        """How often each function was called."""
        sys.setprofile(None)
        self._counting = False
        called, self._called = self._called, []
        return Counter(_name(each) for each in called)

    def in_new_thread(self, *_: object) -> None:
        """For `threading.setprofile`."""
        sys.setprofile(None if threading.current_thread().name.endswith(" log") else self._note)

    def _note(self, frame: FrameType, event: str, function: Any) -> None:
        if self._counting:
            if event == "call":
                self._called.append(frame.f_code)
            elif event == "c_call":
                self._called.append(function.__qualname__)


def _name(called: CodeType | str) -> str:
    return called if isinstance(called, str) else f"{Path(called.co_filename).name}:{called.co_qualname}"


class Memory:
    def begin(self) -> None:
        tracemalloc.start()

    def end(self) -> int:
        """The most bytes at once of what was allocated since the beginning."""
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak


def install(report: str) -> None:
    """For a process that has just begun, in its main thread."""
    calls = Calls()
    threading.setprofile(calls.in_new_thread)
    signal.signal(CALLS, _handler(calls, Path(report)))
    signal.signal(MEMORY, _handler(Memory(), Path(report)))


def _handler(instrument: Calls | Memory, report: Path) -> Any:
    running = False

    def handle(*_: object) -> None:
        nonlocal running
        outcome = instrument.end() if running else instrument.begin()
        running = not running
        unfinished = report.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(outcome))
        unfinished.rename(report)

    return handle
