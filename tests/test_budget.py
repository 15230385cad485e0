"""What many share: granted in the order of asking, never more than there is, and never lost."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from app.budget import Budget

PATIENCE = 20


class TestBudget:
    def test_is_granted_at_once_while_there_is_room(self) -> None:
        budget = Budget(10)
        assert [budget.reserve(5).done() for _ in range(3)] == [True, True, False]

    def test_that_is_given_back_goes_to_who_has_waited_longest(self) -> None:
        budget = Budget(10)
        first = budget.reserve(10)
        waiting = [budget.reserve(size) for size in (8, 1, 1, 5)]
        assert not any(future.done() for future in waiting)
        budget.withdraw(10, first)
        # The last one fits beside nobody; those after the first did not overtake it.
        assert [future.done() for future in waiting] == [True, True, True, False]

    def test_nobody_small_overtakes_somebody_large_for_ever(self) -> None:
        budget = Budget(10)
        held = budget.reserve(3)
        large = budget.reserve(8)
        small = budget.reserve(1)
        assert (large.done(), small.done(), budget.take(1)) == (False, False, False)
        budget.withdraw(3, held)
        assert (large.done(), small.done()) == (True, True)

    def test_of_a_wait_that_is_given_up_goes_to_the_next(self) -> None:
        budget = Budget(10)
        held = budget.reserve(5)
        large, small = budget.reserve(10), budget.reserve(5)
        budget.withdraw(10, large)
        assert small.done()
        budget.withdraw(5, held)
        budget.withdraw(5, small)
        assert budget.reserve(10).done()

    def test_of_a_wait_that_was_cancelled_is_not_taken(self) -> None:
        budget = Budget(10)
        held, cancelled = budget.reserve(10), budget.reserve(10)
        assert cancelled.cancel()
        budget.withdraw(10, cancelled)
        budget.withdraw(10, held)
        assert budget.reserve(10).done()

    def test_is_granted_to_somebody_larger_than_all_of_it_when_nobody_else_has_any(self) -> None:
        budget = Budget(10)
        held, huge = budget.reserve(1), budget.reserve(100)
        assert not huge.done()
        budget.withdraw(1, held)
        assert huge.done()
        assert not budget.take(1)
        budget.withdraw(100, huge)
        assert budget.take(10)

    def test_that_is_left_over_may_be_taken_by_who_has_some_but_not_when_others_wait(self) -> None:
        budget = Budget(10)
        budget.reserve(4)
        assert budget.take(6)
        assert not budget.take(1)
        waiting = budget.reserve(1)
        budget.release(6)
        assert waiting.done()

    def test_who_holds_more_than_was_asked_for_makes_others_wait(self) -> None:
        budget = Budget(10)
        assert budget.take(2)
        budget.release(-9)
        waiting = budget.reserve(1)
        assert (budget.used, waiting.done()) == (11, False)
        budget.release(11)
        assert waiting.done()

    @given(st.lists(st.integers(1, 12), max_size=30))
    def test_is_never_more_than_there_is_and_everybody_gets_some(self, sizes: list[int]) -> None:
        budget = Budget(10)
        open_: list[tuple[int, Future[None]]] = []
        order: list[int] = []

        def look() -> None:
            holding = [size for size, future in open_ if future.done()]
            assert sum(holding) <= 10 or len(holding) == 1

        for number, size in enumerate(sizes):
            future = budget.reserve(size)
            future.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
            open_.append((size, future))
            look()
            if number % 3 == 2:
                granted = [pair for pair in open_ if pair[1].done()]
                open_.remove(granted[0])
                budget.withdraw(*granted[0])
                look()
        while open_:
            granted = [pair for pair in open_ if pair[1].done()]
            assert granted, "nobody gets on"
            open_.remove(granted[0])
            budget.withdraw(*granted[0])
            look()
        assert order == sorted(order)
        assert budget.reserve(10).done()

    def test_between_threads_is_never_lost(self) -> None:
        budget = Budget(7)
        lock = threading.Lock()
        held = [0, 0]

        def use(number: int) -> None:
            size = number % 7 + 1
            granted = budget.reserve(size)
            if number % 5 == 0:
                budget.withdraw(size, granted)
                return
            granted.result(PATIENCE)
            with lock:
                held[0] += size
                held[1] = max(held)
            with lock:
                held[0] -= size
            budget.withdraw(size, granted)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(500)))
        assert held[1] <= 7
        assert budget.reserve(7).done()
