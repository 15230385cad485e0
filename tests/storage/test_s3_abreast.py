"""Work on a few of many items at once, told in their order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.storage.s3.abreast import ABREAST, Abreast
from tests.support.waiting import wait_until

MANY = 3 * ABREAST


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MANY) as made:
        yield made


def test_outcomes_come_in_the_order_of_the_items_whichever_is_ready_first(pool: ThreadPoolExecutor) -> None:
    seventh = threading.Event()

    def work(item: int) -> int:
        if item == 6:
            seventh.set()
        elif item < 6:
            assert seventh.wait(10)
        return item * item

    assert list(Abreast(pool, work, range(MANY))) == [item * item for item in range(MANY)]


def test_only_a_few_are_begun_ahead(pool: ThreadPoolExecutor) -> None:
    begun: list[int] = []
    outcomes = Abreast(pool, begun.append, range(MANY))
    for told in range(1, 4):
        next(outcomes)
        wait_until(lambda told=told: len(begun) == ABREAST + told - 1, "the next ones are begun")  # type: ignore[misc]  # a default is none of its arguments


def test_a_failure_is_raised_in_its_turn_and_the_others_go_on(pool: ThreadPoolExecutor) -> None:
    outcomes = Abreast(pool, lambda item: 1 // item, [1, 0, -1])
    assert next(outcomes) == 1
    with pytest.raises(ZeroDivisionError):
        next(outcomes)
    assert list(outcomes) == [-1]


def test_of_nothing_there_are_none(pool: ThreadPoolExecutor) -> None:
    assert list(Abreast(pool, abs, [])) == []


def test_what_is_stopped_gives_what_was_never_begun_and_ends() -> None:
    begun: list[int] = []
    goes_on = threading.Event()

    def work(item: int) -> None:
        begun.append(item)
        if item:
            assert goes_on.wait(10)

    with ThreadPoolExecutor(3) as pool:
        outcomes = Abreast(pool, work, range(MANY))
        next(outcomes)
        wait_until(lambda: len(begun) == 4, "all threads are at work")
        threading.Timer(0.05, goes_on.set).start()
        assert outcomes.stop(10) == list(range(4, MANY))
        assert sorted(begun) == [0, 1, 2, 3]
        assert list(outcomes) == []
        assert outcomes.stop(0) == []


def test_it_is_stopped_in_time_although_some_work_goes_on() -> None:
    goes_on = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        outcomes = Abreast(pool, lambda item: item == 0 or goes_on.wait(10), range(3))
        assert next(outcomes)
        wait_until(lambda: pool._work_queue.qsize() == 1, "the second one is at work")
        try:
            assert outcomes.stop(0) == [2]
        finally:
            goes_on.set()
