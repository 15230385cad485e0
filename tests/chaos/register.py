"""Whether what was answered about one key can be true of one register: linearizability.

A key holds one value at a time, or nothing. Each operation takes effect in one moment between its
invocation and its return. A history is right if there is an order of these moments in which every
operation sees what it saw. The search goes through the invocations and returns in the order of time
and keeps every register that there may be: the value it holds, with those of the running operations
that have taken effect already. An operation takes effect as late as possible, that is when one that
returns needs it (Wing and Gong 1993; Lowe 2017, "Testing for linearizability"). Reads change
nothing, so that they are taken where they first hold. The work grows with the number of operations
that run at once, not with the length of the history.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias


class Sight(Enum):
    """What an operation tells of the register, where that is not its value."""

    ANYTHING = "anything"
    SOMETHING = "something"
    """Any value, but not nothing."""


Value: TypeAlias = int
ABSENT: Value = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """Something done to the key. Times are of one clock, in seconds."""

    what: str
    """For people."""
    invoked: float
    returned: float
    """When it was over at the latest; infinity if it may take effect at any later time."""
    sees: Value | Sight
    leaves: Value | None = None
    """None if it changes nothing."""
    optional: bool = False
    """It may have had no effect: nobody knows."""

    def may_follow(self, held: Value) -> bool:
        if self.sees is Sight.ANYTHING:
            return True
        return held != ABSENT if self.sees is Sight.SOMETHING else held == self.sees


class _Register(NamedTuple):
    """One that there may be at some moment."""

    held: Value
    taken: frozenset[int]
    """Running operations that have taken effect."""


def contradiction(history: Sequence[Operation], held: Value = ABSENT) -> Operation | None:
    """The first operation whose return no order explains, None if all is well.

    Before the history the register holds `held`.
    """
    registers = [_Register(held, frozenset())]
    running: set[int] = set()
    for number, is_return in _events(history):
        operation = history[number]
        if not is_return:
            running.add(number)
            registers = [_with_reads(register, history, [number]) for register in registers]
            continue
        reached = list(_taking(number, registers, history, running))
        if operation.optional:
            reached += registers
        if not reached:
            return operation
        running.remove(number)
        after = (_Register(register.held, register.taken - {number}) for register in reached)
        freest = _Freest(history)
        registers = [register for register in sorted(after, key=_count) if freest.add(register)]
    return None


def _events(history: Sequence[Operation]) -> Iterator[tuple[int, bool]]:
    """Numbers of operations, and whether they return, in the order of time; at one time invocations first."""
    events = [(operation.invoked, False, number) for number, operation in enumerate(history)]
    events += [
        (operation.returned, True, number)
        for number, operation in enumerate(history)
        if operation.returned < math.inf
    ]
    for _, is_return, number in sorted(events):
        yield number, is_return


def _taking(
    number: int, registers: Sequence[_Register], history: Sequence[Operation], running: set[int]
) -> Iterator[_Register]:
    """Every register in which that operation has taken effect, after as many others as that needs."""
    freest = _Freest(history)
    reached = deque(register for register in sorted(registers, key=_count) if freest.add(register))
    while reached:
        register = reached.popleft()
        if number in register.taken:
            yield register
            continue
        for other in running - register.taken:
            operation = history[other]
            if operation.leaves is not None and operation.may_follow(register.held):
                after = _Register(operation.leaves, register.taken | {other})
                after = _with_reads(after, history, running)
                if freest.add(after):
                    reached.append(after)


class _Freest:
    """Registers of which none can do all that another one can, and no more.

    Of two that hold the same, and are the same but for optional operations, one may have taken fewer
    of these: it can still take them or not, as it likes.
    """

    def __init__(self, history: Sequence[Operation]) -> None:
        self._history = history
        self._known: defaultdict[_Register, list[frozenset[int]]] = defaultdict(list)

    def add(self, register: _Register) -> bool:
        """False if there is one already that is as free."""
        perhaps = frozenset(number for number in register.taken if self._history[number].optional)
        known = self._known[_Register(register.held, register.taken - perhaps)]
        if any(fewer <= perhaps for fewer in known):
            return False
        known.append(perhaps)
        return True


def _count(register: _Register) -> int:
    return len(register.taken)


def _with_reads(register: _Register, history: Sequence[Operation], numbers: Iterable[int]) -> _Register:
    """The register after all reads among these that hold now."""
    hold = [
        number
        for number in numbers
        if history[number].leaves is None and history[number].may_follow(register.held)
    ]
    return _Register(register.held, register.taken.union(hold)) if hold else register
