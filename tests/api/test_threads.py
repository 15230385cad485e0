"""Calls in storage threads: a caller that is cancelled leaves no call running behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from app.api.threads import StorageThreads, finished
from tests.support.event_loop import A_MOMENT, PATIENCE, run


class Call:
    """A blocking call that ends when the test lets it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.started = threading.Event()
        self.may_end = threading.Event()
        self.ended = False
        self._error = error

    def __call__(self, *args: object, **kwargs: object) -> tuple[object, ...]:
        self.started.set()
        assert self.may_end.wait(PATIENCE)
        self.ended = True
        if self._error is not None:
            raise self._error
        return (*args, *kwargs.items())

    async def until_started(self) -> None:
        assert await asyncio.to_thread(self.started.wait, PATIENCE)


def test_a_call_gets_its_arguments_and_gives_its_result(threads: StorageThreads) -> None:
    async def main() -> None:
        def called(one: int, *, two: str) -> tuple[int, str, str, threading.Thread]:
            return one, two, threading.current_thread().name, threading.current_thread()

        one, two, name, thread = await threads.run(called, 1, two="x")
        assert (one, two) == (1, "x")
        assert name.startswith("storage")
        assert thread is not threading.current_thread()

    run(main())


def test_a_call_gives_its_error(threads: StorageThreads) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            await threads.run(lambda: 1 // 0)

    run(main())


def test_the_event_loop_goes_on_while_a_call_blocks(threads: StorageThreads) -> None:
    async def main() -> None:
        call = Call()
        task = asyncio.create_task(threads.run(call, 1, two=2))
        await call.until_started()
        assert not task.done()
        call.may_end.set()
        assert await task == (1, ("two", 2))

    run(main())


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("error", [None, OSError("late")], ids=["that succeeds", "that fails"])
def test_a_cancelled_caller_waits_for_its_call(
    threads: StorageThreads, times: int, error: Exception | None
) -> None:
    async def main() -> None:
        call = Call(error)
        task = asyncio.create_task(threads.run(call))
        await call.until_started()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(A_MOMENT / times)
            assert not task.done()
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert call.ended

    run(main())


def test_what_cleans_up_after_a_cancelled_call_is_alone(threads: StorageThreads) -> None:
    call = Call()
    seen: list[bool] = []

    async def caller() -> None:
        try:
            await threads.run(call)
        finally:
            await threads.run(lambda: seen.append(call.ended))

    async def main() -> None:
        task = asyncio.create_task(caller())
        await call.until_started()
        task.cancel()
        await asyncio.sleep(A_MOMENT)
        assert seen == []
        call.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == [True]

    run(main())


def test_a_timeout_of_the_caller_comes_after_its_call(threads: StorageThreads) -> None:
    async def main() -> None:
        call = Call()
        asyncio.get_running_loop().call_later(2 * A_MOMENT, call.may_end.set)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(A_MOMENT / 5):
                await threads.run(call)
        assert call.ended

    run(main())


def test_no_more_calls_run_at_once_than_there_are_threads(threads: StorageThreads) -> None:
    lock = threading.Lock()
    running: list[int] = [0]
    most: list[int] = [0]
    both = threading.Barrier(2)

    def called() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        both.wait(PATIENCE)
        with lock:
            running[0] -= 1

    async def main() -> None:
        await asyncio.gather(*(threads.run(called) for _ in range(8)))

    run(main())
    assert most == [2]


def test_a_caller_that_is_cancelled_before_its_call_began_leaves_none_behind(threads: StorageThreads) -> None:
    async def main() -> None:
        busy = [Call(), Call()]
        tasks = [asyncio.create_task(threads.run(call)) for call in busy]
        for call in busy:
            await call.until_started()
        queued = Call()
        queued.may_end.set()
        waiting = asyncio.create_task(threads.run(queued))
        await asyncio.sleep(0)
        waiting.cancel()
        for call in busy:
            call.may_end.set()
        await asyncio.wait([waiting, *tasks])
        assert waiting.cancelled()
        assert queued.started.is_set() is queued.ended

    run(main())


class TestAcquire:
    """`acquire` gives what was acquired, or releases it where nobody is left to take it."""

    def test_what_was_acquired_is_given_and_kept(self, threads: StorageThreads) -> None:
        async def main() -> None:
            released: list[str] = []
            assert await threads.acquire(lambda: "held", released.append) == "held"
            assert released == []

        run(main())

    def test_what_could_not_be_acquired_is_not_released(self, threads: StorageThreads) -> None:
        async def main() -> None:
            released: list[float] = []
            with pytest.raises(ZeroDivisionError):
                await threads.acquire(lambda: 1 / 0, released.append)
            assert released == []

        run(main())

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("error", [None, OSError("late")], ids=["acquired", "failed"])
    def test_a_cancelled_caller_releases_what_it_cannot_take(
        self, threads: StorageThreads, error: Exception | None, times: int
    ) -> None:
        async def main() -> None:
            acquire, release = Call(error), Call()
            taken: list[object] = []

            def released(what: object) -> None:
                taken.append(what)
                release()

            task = asyncio.create_task(threads.acquire(acquire, released))
            await acquire.until_started()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(A_MOMENT / times)
            assert taken == []
            acquire.may_end.set()
            if error is None:
                await release.until_started()
                task.cancel()
                await asyncio.sleep(A_MOMENT)
                assert not task.done()
            release.may_end.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert taken == ([()] if error is None else [])
            assert release.ended is (error is None)

        run(main())


def test_closing_waits_for_the_calls_that_run() -> None:
    async def main() -> None:
        threads = StorageThreads(1)
        call = Call()
        task = asyncio.create_task(threads.run(call))
        await call.until_started()
        closing = asyncio.create_task(asyncio.to_thread(threads.close))
        await asyncio.sleep(A_MOMENT)
        assert not closing.done()
        call.may_end.set()
        await closing
        assert call.ended
        await task

    run(main())


@pytest.mark.parametrize(
    "end",
    [
        lambda future: future.set_result(None),
        lambda future: future.set_exception(OSError("not for us")),
        lambda future: future.cancel(),
    ],
    ids=["a result", "an error", "a cancellation"],
)
def test_finished_returns_however_the_call_ends(end: Callable[[asyncio.Future[None]], object]) -> None:
    async def main() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(finished(future))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
        end(future)
        await waiting
        await finished(future)

    run(main())
