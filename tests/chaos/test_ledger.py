"""How what was answered becomes a judgement, and what a body tells of itself."""

from __future__ import annotations

import time

import pytest

from tests.chaos.bodies import Torn, body, number_of, require_piece
from tests.chaos.ledger import Ledger, Outcome, Write
from tests.chaos.register import ABSENT, Value


def wrote(ledger: Ledger, number: Value, outcome: Outcome, *, create: bool = False) -> None:
    ledger.wrote(Write("a", number, create), "one", outcome, time.monotonic)


def saw(ledger: Ledger, number: Value) -> None:
    ledger.saw("read", "other", time.monotonic(), {"a": number})


def kinds(ledger: Ledger, calm: float) -> list[str]:
    ledger.judge(calm)
    return [what.partition(":")[0] for what in ledger.wrong]


def test_an_acknowledged_write_that_is_gone_in_the_end_is_lost() -> None:
    ledger = Ledger(["a"])
    wrote(ledger, 1, Outcome.ACKNOWLEDGED)
    saw(ledger, ABSENT)
    calm = time.monotonic()
    saw(ledger, ABSENT)
    assert kinds(ledger, calm) == ["lost"]


def test_an_acknowledged_write_that_is_not_seen_for_a_while_makes_reads_stale() -> None:
    ledger = Ledger(["a"])
    wrote(ledger, 1, Outcome.ACKNOWLEDGED)
    saw(ledger, ABSENT)
    calm = time.monotonic()
    saw(ledger, 1)
    assert kinds(ledger, calm) == ["stale"]


@pytest.mark.parametrize(("seen", "found"), [(1, []), (2, []), (3, ["lost"])])
def test_a_write_of_unknown_outcome_may_be_there_and_one_without_effect_may_not(
    seen: Value, found: list[str]
) -> None:
    ledger = Ledger(["a"])
    wrote(ledger, 1, Outcome.ACKNOWLEDGED)
    wrote(ledger, 2, Outcome.UNKNOWN)
    wrote(ledger, 3, Outcome.NONE)
    calm = time.monotonic()
    saw(ledger, seen)
    assert kinds(ledger, calm) == found


def test_a_refusal_says_that_something_was_there() -> None:
    ledger = Ledger(["a"])
    wrote(ledger, 1, Outcome.REFUSED, create=True)
    assert kinds(ledger, time.monotonic()) == ["stale"]


def test_a_repeated_write_may_be_seen_on_both_sides_of_another() -> None:
    for repeats, found in ((True, []), (False, ["stale"])):
        ledger = Ledger(["a"], repeats=repeats)
        first = Write("a", 1)
        saw(ledger, 1)
        wrote(ledger, 2, Outcome.ACKNOWLEDGED)
        saw(ledger, 2)
        ledger.wrote(first, "one", Outcome.ACKNOWLEDGED, time.monotonic)
        calm = time.monotonic()
        saw(ledger, 1)
        assert kinds(ledger, calm) == found


@pytest.mark.parametrize(
    "data",
    [
        b"",
        body(1, 100)[:-1],
        body(1, 100) + b"x",
        body(1, 100)[:50] + body(2, 100)[50:],
        b"x" * 100,
    ],
)
def test_anything_but_a_whole_body_is_torn(data: bytes) -> None:
    assert number_of(body(1, 100)) == 1
    with pytest.raises(Torn):
        number_of(data)


def test_a_piece_of_another_body_is_torn() -> None:
    require_piece(body(1, 100)[30:60], 30, 1, 100)
    with pytest.raises(Torn):
        require_piece(body(2, 100)[30:60], 30, 1, 100)
