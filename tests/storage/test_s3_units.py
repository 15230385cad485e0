"""What keeps uploads of one process apart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from app.storage.s3.places import _related, _Turns

PATIENCE = 20


def segments(text: str) -> tuple[str, ...]:
    return tuple(text.split("/"))


class TestTurns:
    @pytest.mark.parametrize(
        ("held", "wanted", "waits"),
        [
            ("a", "a", True),
            ("a", "a/b", True),
            ("a/b", "a", True),
            ("a/b/c", "a", True),
            ("a/b", "a/c", False),
            ("a", "ab", False),
            ("a/b", "a/bc", False),
            ("ab", "a", False),
        ],
    )
    def test_are_one_at_a_time_for_a_path_and_what_lies_below_it(
        self, held: str, wanted: str, waits: bool
    ) -> None:
        assert _related(segments(held), segments(wanted)) is waits
        turns = _Turns()
        entered = threading.Event()

        def enter() -> None:
            with turns.take(segments(wanted)):
                entered.set()

        with ThreadPoolExecutor(1) as pool:
            with turns.take(segments(held)):
                pool.submit(enter)
                assert entered.wait(0.05 if waits else PATIENCE) is not waits
            assert entered.wait(PATIENCE)

    def test_end_also_where_they_fail(self) -> None:
        turns = _Turns()
        with pytest.raises(ZeroDivisionError), turns.take(("a", "b")):
            raise ZeroDivisionError
        with turns.take(("a",)), ExitStack() as stack:
            stack.enter_context(turns.take(("b",)))

    def test_never_overlap_under_load_and_all_come(self) -> None:
        turns = _Turns()
        paths = [segments(text) for text in ("a", "a/b", "a/b/c", "a/d", "e", "e/f", "ab")]
        lock = threading.Lock()
        holding: list[tuple[str, ...]] = []

        def hold(number: int) -> None:
            path = paths[number % len(paths)]
            with turns.take(path):
                with lock:
                    assert not any(_related(path, other) for other in holding)
                    holding.append(path)
                with lock:
                    holding.remove(path)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(hold, range(1000)))
