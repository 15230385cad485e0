"""What was asked and what was answered: all that the judgement knows.

It is filled by many threads at once, and read when they are done.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from tests.chaos.register import ABSENT, Operation, Sight, Value, contradiction


class Outcome(Enum):
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """By its own condition, that nothing is there."""
    NONE = "no effect"
    """Not all of it was sent: it can never take effect."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Write:
    key: str
    number: Value
    """Of the body, or ABSENT for a deletion."""
    create: bool = False
    """Only where nothing is."""
    invoked: float = field(default_factory=time.monotonic)

    def operation(self, via: str, returned: float, *, optional: bool) -> Operation:
        what = "delete" if self.number == ABSENT else f"{'create' if self.create else 'write'} {self.number}"
        sees = ABSENT if self.create else Sight.ANYTHING
        return Operation(f"{what} via {via}", self.invoked, returned, sees, self.number, optional)


class Ledger:
    """Of the keys of one round.

    `repeats`: what a server asks of its store may be sent twice, when the first answer is lost.
    Each write is then two operations in the same time, and the second is optional.
    """

    def __init__(self, keys: Iterable[str], *, repeats: bool = False) -> None:
        self.keys = tuple(keys)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        """What is wrong whatever else was answered: torn bodies, senseless answers."""
        self._repeats = repeats
        self._lock = threading.Lock()
        self._histories: defaultdict[str, list[Operation]] = defaultdict(list)
        self._unsettled: list[tuple[str, Operation, Callable[[], float]]] = []
        self._sizes: dict[tuple[str, int], Value] = {}
        self.operations = 0
        """How many have ended, in whatever way."""

    def new_size(self, key: str, number: Value, size: int) -> int:
        """About that size, and no other body's of this key: so whoever learns a size knows the body."""
        with self._lock:
            while (key, size) in self._sizes:
                size += 1
            self._sizes[key, size] = number
            return size

    def number(self, key: str, size: int) -> Value | None:
        """Of the body of that size, None if nobody has ever sent one."""
        with self._lock:
            return self._sizes.get((key, size))

    def wrote(self, write: Write, via: str, outcome: Outcome, settled: Callable[[], float]) -> None:
        """`settled` tells in the end when a write of unknown outcome was over, at the latest."""
        now = time.monotonic()
        with self._lock:
            self.operations += 1
            self.counts[f"writes {outcome.value}"] += 1
            history = self._histories[write.key]
            if outcome is Outcome.ACKNOWLEDGED:
                history.append(write.operation(via, now, optional=False))
                if self._repeats:
                    history.append(write.operation(f"{via}, again", now, optional=True))
            elif outcome is Outcome.REFUSED:
                history.append(Operation(f"refused via {via}", write.invoked, now, Sight.SOMETHING))
            elif outcome is Outcome.UNKNOWN:
                operation = write.operation(via, math.inf, optional=True)
                self._unsettled += [(write.key, operation, settled)] * (2 if self._repeats else 1)

    def saw(self, how: str, via: str, invoked: float, seen: Mapping[str, Value]) -> None:
        """What one read or listing found: the number of the body of each key that it tells of."""
        now = time.monotonic()
        with self._lock:
            self.operations += 1
            self.counts[how] += 1
            for key, number in seen.items():
                self._histories[key].append(Operation(f"{how} {number} via {via}", invoked, now, number))

    def failed(self, how: str) -> None:
        """A read or listing that tells nothing."""
        with self._lock:
            self.operations += 1
            self.counts[f"{how} failed"] += 1

    def complain(self, kind: str, what: str) -> None:
        """Of what can never be right."""
        with self._lock:
            self.counts[kind] += 1
            self.wrong.append(f"{kind}: {what}")

    def judge(self, calm: float) -> None:
        """Complains of each key whose history no register explains.

        At `calm` all writes were over, also those of unknown outcome. Where what is there after that is
        no outcome of the writes, one of them is lost; where only what was seen before is not, that is stale.
        """
        for key, operation, settled in self._unsettled:
            returned = max(operation.invoked, min(settled(), calm))
            self._histories[key].append(replace(operation, returned=returned))
        self._unsettled.clear()
        for key, history in self._histories.items():
            in_the_end = [one for one in history if one.leaves is not None or one.invoked >= calm]
            if (found := contradiction(in_the_end)) is not None:
                self.complain("lost", _story(key, history, found))
            elif (found := contradiction(history)) is not None:
                self.complain("stale", _story(key, history, found))


def _story(key: str, history: list[Operation], found: Operation) -> str:
    """For whoever has to find out what went wrong: the history with times in milliseconds."""
    start = min(operation.invoked for operation in history)
    lines = [
        f"  {(one.invoked - start) * 1000:10.1f} {(one.returned - start) * 1000:10.1f}  {one.what}"
        f"{' (perhaps)' if one.optional else ''}{'   <-- no order explains this' if one is found else ''}"
        for one in sorted(history, key=lambda one: one.invoked)
    ]
    return "\n".join([key, *lines])
