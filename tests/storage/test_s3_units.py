"""What keeps uploads of one process apart, and within their memory."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage.s3.memory import UploadMemory
from app.storage.s3.places import _related, _Turns

PATIENCE = 20


class TestUploadMemory:
    def test_is_granted_at_once_while_there_is_room(self) -> None:
        memory = UploadMemory(10)
        assert [memory.reserve(5).done() for _ in range(3)] == [True, True, False]

    def test_that_is_given_back_goes_to_who_has_waited_longest(self) -> None:
        memory = UploadMemory(10)
        first = memory.reserve(10)
        waiting = [memory.reserve(size) for size in (8, 1, 1, 5)]
        assert not any(future.done() for future in waiting)
        memory.withdraw(10, first)
        # The last one fits beside nobody; those after the first did not overtake it.
        assert [future.done() for future in waiting] == [True, True, True, False]

    def test_nobody_small_overtakes_somebody_large_for_ever(self) -> None:
        memory = UploadMemory(10)
        held = memory.reserve(3)
        large = memory.reserve(8)
        small = memory.reserve(1)
        assert (large.done(), small.done(), memory.take(1)) == (False, False, False)
        memory.withdraw(3, held)
        assert (large.done(), small.done()) == (True, True)

    def test_of_a_wait_that_is_given_up_goes_to_the_next(self) -> None:
        memory = UploadMemory(10)
        held = memory.reserve(5)
        large, small = memory.reserve(10), memory.reserve(5)
        memory.withdraw(10, large)
        assert small.done()
        memory.withdraw(5, held)
        memory.withdraw(5, small)
        assert memory.reserve(10).done()

    def test_of_a_wait_that_was_cancelled_is_not_taken(self) -> None:
        memory = UploadMemory(10)
        held, cancelled = memory.reserve(10), memory.reserve(10)
        assert cancelled.cancel()
        memory.withdraw(10, cancelled)
        memory.withdraw(10, held)
        assert memory.reserve(10).done()

    def test_is_granted_to_somebody_larger_than_all_of_it_when_nobody_else_has_any(self) -> None:
        memory = UploadMemory(10)
        held, huge = memory.reserve(1), memory.reserve(100)
        assert not huge.done()
        memory.withdraw(1, held)
        assert huge.done()
        assert not memory.take(1)
        memory.withdraw(100, huge)
        assert memory.take(10)

    def test_that_is_left_over_may_be_taken_by_who_has_some_but_not_when_others_wait(self) -> None:
        memory = UploadMemory(10)
        memory.reserve(4)
        assert memory.take(6)
        assert not memory.take(1)
        waiting = memory.reserve(1)
        memory.release(6)
        assert waiting.done()

    @given(st.lists(st.integers(1, 12), max_size=30))
    def test_is_never_more_than_there_is_and_everybody_gets_some(self, sizes: list[int]) -> None:
        memory = UploadMemory(10)
        open_: list[tuple[int, Future[None]]] = []
        order: list[int] = []

        def look() -> None:
            holding = [size for size, future in open_ if future.done()]
            assert sum(holding) <= 10 or len(holding) == 1

        for number, size in enumerate(sizes):
            future = memory.reserve(size)
            future.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
            open_.append((size, future))
            look()
            if number % 3 == 2:
                granted = [pair for pair in open_ if pair[1].done()]
                open_.remove(granted[0])
                memory.withdraw(*granted[0])
                look()
        while open_:
            granted = [pair for pair in open_ if pair[1].done()]
            assert granted, "nobody gets on"
            open_.remove(granted[0])
            memory.withdraw(*granted[0])
            look()
        assert order == sorted(order)
        assert memory.reserve(10).done()

    def test_between_threads_is_never_lost(self) -> None:
        memory = UploadMemory(7)
        lock = threading.Lock()
        held = [0, 0]

        def use(number: int) -> None:
            size = number % 7 + 1
            granted = memory.reserve(size)
            if number % 5 == 0:
                memory.withdraw(size, granted)
                return
            granted.result(PATIENCE)
            with lock:
                held[0] += size
                held[1] = max(held)
            with lock:
                held[0] -= size
            memory.withdraw(size, granted)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(500)))
        assert held[1] <= 7
        assert memory.reserve(7).done()


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
