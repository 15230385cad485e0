"""The judge of histories, on histories made by hand."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from tests.chaos.register import ABSENT, Operation, Sight, Value, contradiction

A, B, C = 1, 2, 3
FOR_EVER = math.inf


def write(value: Value, invoked: float, returned: float, *, unknown: bool = False) -> Operation:
    return Operation(f"write {value}", invoked, returned, Sight.ANYTHING, value, unknown)


def create(value: Value, invoked: float, returned: float, *, unknown: bool = False) -> Operation:
    return Operation(f"create {value}", invoked, returned, ABSENT, value, unknown)


def delete(invoked: float, returned: float, *, unknown: bool = False) -> Operation:
    return Operation("delete", invoked, returned, Sight.ANYTHING, ABSENT, unknown)


def read(value: Value, invoked: float, returned: float) -> Operation:
    return Operation(f"read {value}", invoked, returned, value)


def refused(invoked: float, returned: float) -> Operation:
    return Operation("refused", invoked, returned, Sight.SOMETHING)


RIGHT = {
    "nothing": [],
    "one after the other": [
        read(ABSENT, 0, 1), write(A, 2, 3), read(A, 4, 5), delete(6, 7), read(ABSENT, 8, 9),
    ],
    "a read beside a write sees the new": [write(A, 0, 1), write(B, 2, 5), read(B, 3, 4), read(B, 6, 7)],
    "a read beside a write sees the old": [write(A, 0, 1), write(B, 2, 5), read(A, 3, 4), read(B, 6, 7)],
    "the old, then the new": [write(A, 0, 1), write(B, 2, 9), read(A, 3, 4), read(B, 5, 6)],
    "of two at once either is last": [write(A, 0, 9), write(B, 1, 8), read(B, 10, 11)],
    "of two at once either is last, the other one": [write(A, 0, 9), write(B, 1, 8), read(A, 10, 11)],
    "both of two at once are seen in between": [write(A, 0, 9), write(B, 1, 8), read(A, 2, 3), read(B, 4, 5)],
    "an unknown write that is seen": [write(A, 0, 1), write(B, 2, FOR_EVER, unknown=True), read(B, 9, 10)],
    "an unknown write that is not": [write(A, 0, 1), write(B, 2, FOR_EVER, unknown=True), read(A, 9, 10)],
    "an unknown write that comes late": [
        write(A, 0, 1), write(B, 2, FOR_EVER, unknown=True), read(A, 5, 6), read(B, 9, 10),
    ],
    "an unknown write in its time": [write(B, 2, 4, unknown=True), read(B, 5, 6)],
    "an unknown write unseen in its time": [write(B, 2, 4, unknown=True), read(ABSENT, 5, 6)],
    "an unknown deletion": [
        write(A, 0, 1), delete(2, FOR_EVER, unknown=True), read(A, 4, 5), read(ABSENT, 6, 7),
    ],
    "a creation where nothing is": [create(A, 0, 1), delete(2, 3), create(B, 4, 5), read(B, 6, 7)],
    "a creation beside a deletion": [create(A, 0, 1), delete(2, 9), create(B, 3, 4), read(B, 10, 11)],
    "a refusal for what is there": [write(A, 0, 1), refused(2, 3), read(A, 4, 5)],
    "a refusal for what comes": [write(A, 0, 5), refused(2, 3)],
    "a refusal for what nobody knows of": [write(A, 0, FOR_EVER, unknown=True), refused(2, 3), delete(4, 5)],
    "a creation of which one wins": [create(A, 0, 5), refused(1, 6), read(A, 7, 8)],
}  # fmt: skip

WRONG = {
    "a stale read": ([write(A, 0, 1), write(B, 2, 3), read(A, 4, 5)], "read 1"),
    "a lost write": ([write(A, 0, 1), read(ABSENT, 2, 3)], "read 0"),
    "a lost replacement": ([write(A, 0, 1), write(B, 2, 3), read(B, 4, 5), read(A, 6, 7)], "read 1"),
    "the new, then the old": ([write(A, 0, 1), write(B, 2, 9), read(B, 3, 4), read(A, 5, 6)], "read 1"),
    "what was deleted comes back": ([write(A, 0, 1), delete(2, 3), read(A, 4, 5)], "read 1"),
    "what was deleted comes back later": (
        [write(A, 0, 1), delete(2, 3), read(ABSENT, 4, 5), read(A, 6, 7)], "read 1",
    ),
    "a deletion that is lost": ([write(A, 0, 1), write(B, 2, 3), delete(4, 5), read(B, 6, 7)], "read 2"),
    "what nobody wrote": ([write(A, 0, 1), read(C, 2, 3)], "read 3"),
    "a read before its write": ([read(A, 0, 1), write(A, 2, 3)], "read 1"),
    "both of two at once, back and forth": (
        [write(A, 0, 9), write(B, 1, 8), read(A, 2, 3), read(B, 4, 5), read(A, 6, 7)], "read 1",
    ),
    "a creation over something": ([write(A, 0, 1), create(B, 2, 3)], "create 2"),
    "two creations": ([create(A, 0, 5), create(B, 1, 6)], "create 2"),
    "a refusal for nothing": ([write(A, 0, 1), delete(2, 3), refused(4, 5)], "refused"),
    "an unknown write after its time": (
        [write(A, 0, 1), write(B, 2, 4, unknown=True), read(A, 5, 6), read(B, 7, 8)], "read 2",
    ),
    "an unknown write that comes and goes": (
        [write(A, 0, 1), write(B, 2, FOR_EVER, unknown=True), read(B, 5, 6), read(A, 7, 8)], "read 1",
    ),
    "one unknown deletion that takes two": (
        [
            write(A, 0, 1), delete(2, FOR_EVER, unknown=True), read(ABSENT, 3, 4),
            write(B, 5, 6), read(B, 7, 8), read(ABSENT, 9, 10),
        ], "read 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_explained(history: list[Operation]) -> None:
    assert contradiction(history) is None
    assert contradiction(history[::-1]) is None


@pytest.mark.parametrize(("history", "found"), WRONG.values(), ids=WRONG)
def test_a_wrong_history_is_caught(history: list[Operation], found: str) -> None:
    for order in (history, history[::-1]):
        caught = contradiction(order)
        assert caught is not None
        assert caught.what == found


def test_what_a_register_held_before_is_believed() -> None:
    assert contradiction([read(A, 0, 1)], held=A) is None
    assert contradiction([read(ABSENT, 0, 1)], held=A) is not None


def explained(history: list[Operation]) -> bool:
    """The definition itself: some order of all, or of all but some optional ones, is that of a register."""
    return any(
        _is_in_time(order) and _is_of_a_register(order)
        for kept in itertools.product([True, False], repeat=len(history))
        if all(keep or operation.optional for keep, operation in zip(kept, history, strict=True))
        for order in itertools.permutations(itertools.compress(history, kept))
    )


def _is_in_time(order: tuple[Operation, ...]) -> bool:
    return all(not later.returned < earlier.invoked for earlier, later in itertools.combinations(order, 2))


def _is_of_a_register(order: tuple[Operation, ...]) -> bool:
    held = ABSENT
    for operation in order:
        if not operation.may_follow(held):
            return False
        held = held if operation.leaves is None else operation.leaves
    return True


def test_the_search_agrees_with_the_definition() -> None:
    chance = random.Random(17)  # noqa: S311 - no secret
    verdicts = []
    for _ in range(600):
        history = []
        for value in (A, B):
            invoked = chance.randrange(20)
            returned = chance.choice([invoked + chance.randrange(1, 12), FOR_EVER])
            make = chance.choice([write, create])
            unknown = returned == FOR_EVER or chance.random() < 0.3
            history.append(make(value, invoked, returned, unknown=unknown))
        for _ in range(3):
            invoked = chance.randrange(20)
            returned = invoked + chance.randrange(1, 8)
            history.append(
                chance.choice(
                    [
                        delete(invoked, returned),
                        refused(invoked, returned),
                        read(chance.choice([ABSENT, A, B]), invoked, returned),
                        read(chance.choice([A, B]), invoked, returned),
                    ]
                )
            )
        verdicts.append(contradiction(history) is None)
        assert verdicts[-1] == explained(history), history
    assert 100 < sum(verdicts) < 500
