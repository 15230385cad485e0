"""The system calls of a process, as strace writes them down."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

_LINE = re.compile(r"(?P<process>\d+) +(?P<rest>.*)")
_BEGUN = re.compile(r"(?:\[ *(?P<kind>\d+)\] )?(?P<name>\w+)\(")
_RESUMED = re.compile(r"(?:\[ *\d+\] )?<\.\.\. \w+ resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"


@dataclass
class SystemCall:
    process: int
    """Or the thread that made it."""
    kind: int
    """The number that this machine has for its name; -1 if strace was not asked for that."""
    name: str
    text: str
    """As strace shows it, with its arguments and result."""
    began: int
    """The line of the log at which it did."""
    ended: int

    @property
    def injected(self) -> bool:
        return self.text.endswith("(INJECTED)")


def read_calls(log: Path) -> list[SystemCall]:
    """All calls in the log, in the order in which they began."""
    found: list[SystemCall] = []
    unfinished: dict[int, SystemCall] = {}
    for number, line in enumerate(log.read_text(errors="replace").splitlines()):
        split = _LINE.fullmatch(line)
        assert split, line
        process, rest = int(split["process"]), split["rest"]
        if resumed := _RESUMED.match(rest):
            call = unfinished.pop(process)
            call.text += resumed["rest"]
            call.ended = number
        elif begun := _BEGUN.match(rest):
            text = rest.removesuffix(_UNFINISHED)
            call = SystemCall(process, int(begun["kind"] or -1), begun["name"], text, number, number)
            found.append(call)
            if text != rest:
                unfinished[process] = call
    return found


@contextmanager
def attached(strace: str, process: int, log: Path, *options: str) -> Iterator[None]:
    """Lets strace watch all threads of the process within the block; after it, `log` has what it saw."""
    messages = log.with_name(f"{log.name}.messages")
    with messages.open("wb") as written:
        tracer = subprocess.Popen(
            [strace, "-f", "-y", "-o", str(log), "-p", str(process), *options], stderr=written
        )
    try:
        wait_until(lambda: "attached" in messages.read_text(), "strace is attached")
        yield
    finally:
        tracer.terminate()  # it lets go of the process
        tracer.wait(20)
