"""Who is let in: places and memory, in the order of asking, for a while, and given back exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import Request

from app import metrics
from app.api.admission import Admission
from app.api.limits import Limits
from app.api.problems import answer_for
from app.api.visit import GONE, Visit, visit_of
from app.errors import ServerBusy, TooManyRequests, UploadInterrupted
from app.identity.base import Identity
from app.identity.permissions import EVERYTHING
from tests.support.event_loop import A_MOMENT, PATIENCE, run
from tests.support.visits import of_anybody

MEMORY = 100


class Caller:
    """A request that asks for admission, and holds what it got until it ends."""

    def __init__(self, admission: Admission, memory: int = 10, identity: Identity | None = None) -> None:
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.request = of_anybody(Request({"type": "http", GONE: self.gone}))
        if identity is not None:
            self.visit.identity = identity
        self.asking = asyncio.create_task(admission.begin_transfer(self.request, "upload", memory))

    @property
    def visit(self) -> Visit:
        return visit_of(self.request)

    def is_in(self) -> bool:
        return self.asking.done() and not self.asking.cancelled() and self.asking.exception() is None

    def end(self) -> None:
        for release in self.visit.at_end:
            release()


def admitting(places: int = 0, memory: int = MEMORY, patience: float = PATIENCE) -> Admission:
    return Admission(Limits(), places=places, memory=memory, patience=patience)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def require_empty(admission: Admission, places: int = 0) -> None:
    """Nothing is taken, nobody waits: so there is room for as much as at the start."""
    assert (admission._places.used, admission._memory.used, waiting()) == (0, 0, 0)
    whole = Caller(admission, MEMORY)
    await settled()
    assert whole.is_in()
    whole.end()


def waiting() -> float:
    return float(metrics.WAITING._value.get())


def running(kind: str = "upload") -> float:
    return float(metrics.TRANSFERS.labels(kind)._value.get())


@asynccontextmanager
async def full(admission: Admission, memory: int = MEMORY) -> AsyncIterator[Caller]:
    """Somebody who has all there is, until the block ends."""
    holder = Caller(admission, memory)
    await settled()
    assert holder.is_in()
    yield holder
    holder.end()


@pytest.mark.parametrize(("places", "memory"), [(3, 0), (0, MEMORY // 3)], ids=["places", "memory"])
def test_those_who_find_none_are_let_in_in_the_order_in_which_they_came(places: int, memory: int) -> None:
    async def main() -> None:
        admission = admitting(places)
        callers = [Caller(admission, memory) for _ in range(8)]
        for first in range(6):
            await settled()
            assert [caller.is_in() for caller in callers] == [True] * (first + 3) + [False] * (5 - first)
            assert waiting() == 5 - first
            callers[first].end()
        await settled()
        for caller in callers[6:]:
            caller.end()
        await require_empty(admission)

    run(main())


def test_what_runs_and_what_waits_is_counted() -> None:
    async def main() -> None:
        before = running()
        admission = admitting(places=1)
        async with full(admission):
            second = Caller(admission)
            await settled()
            assert (running(), waiting()) == (before + 1, 1)
        await settled()
        assert (running(), waiting()) == (before + 1, 0)
        second.end()
        assert running() == before

    run(main())


@pytest.mark.parametrize(("places", "reason"), [(1, "places"), (0, "memory")])
def test_who_waited_long_enough_is_told_to_come_back_and_leaves_nothing(places: int, reason: str) -> None:
    async def main() -> None:
        admission = admitting(places, patience=A_MOMENT)
        async with full(admission):
            callers = [Caller(admission) for _ in range(20)]
            outcomes = await asyncio.gather(*(caller.asking for caller in callers), return_exceptions=True)
            errors = [outcome for outcome in outcomes if isinstance(outcome, ServerBusy)]
            assert [error.lacking for error in errors] == [reason] * len(callers)
            assert {answer_for(error).status for error in errors} == {503}
            seconds = [error.seconds for error in errors]
            assert 1 <= min(seconds) < max(seconds) <= 10  # not all at the same time
            for caller in callers:
                caller.end()
        await require_empty(admission)

    run(main())


def test_who_is_to_wait_for_no_time_at_all_is_let_in_where_there_is_room() -> None:
    async def main() -> None:
        admission = admitting(places=1, patience=0)
        async with full(admission, 2 * MEMORY):
            with pytest.raises(ServerBusy):
                await Caller(admission).asking

    run(main())


@pytest.mark.parametrize("places", [1, 0], ids=["for a place", "for memory"])
def test_who_goes_away_while_it_waits_makes_room_for_the_next_at_once(places: int) -> None:
    async def main() -> None:
        admission = admitting(places)
        async with full(admission, MEMORY):
            leaving, cancelled, staying = (Caller(admission) for _ in range(3))
            await settled()
            leaving.gone.set_result(None)
            cancelled.asking.cancel()
            with pytest.raises(UploadInterrupted):
                await leaving.asking
            assert leaving.visit.gone
            with pytest.raises(asyncio.CancelledError):
                await cancelled.asking
            leaving.end()
            cancelled.end()
        await settled()
        assert staying.is_in()
        staying.end()
        await require_empty(admission)

    run(main())


def test_who_goes_away_when_its_turn_comes_gives_back_what_it_got() -> None:
    async def main() -> None:
        for turn in ("gone", "cancelled"):
            admission = admitting(places=1)
            async with full(admission):
                caller = Caller(admission)
                await settled()
            # Granted, but nobody has run since.
            if turn == "gone":
                caller.gone.set_result(None)
            else:
                caller.asking.cancel()
            await asyncio.wait([caller.asking])
            assert not caller.is_in()
            caller.end()
            await require_empty(admission)

    run(main())


def test_a_large_one_is_not_overtaken_by_small_ones_for_ever() -> None:
    async def main() -> None:
        admission = admitting()
        small = [Caller(admission, 40) for _ in range(2)]
        await settled()
        large = Caller(admission, 80)
        later = [Caller(admission, 10) for _ in range(3)]
        await settled()
        assert not any(caller.is_in() for caller in (large, *later))  # though there is room for a small one
        for caller in small:
            caller.end()
        await settled()
        assert [caller.is_in() for caller in (large, *later)] == [True, True, True, False]
        large.end()
        await settled()
        assert later[-1].is_in()
        for caller in later:
            caller.end()
        await require_empty(admission)

    run(main())


def test_one_that_needs_more_than_there_is_gets_it_alone() -> None:
    async def main() -> None:
        admission = admitting()
        async with full(admission, 1):
            huge = Caller(admission, 5 * MEMORY)
            await settled()
            assert not huge.is_in()
        await settled()
        assert huge.is_in()
        small = Caller(admission, 1)
        await settled()
        assert not small.is_in()
        huge.end()
        await settled()
        assert small.is_in()
        small.end()
        await require_empty(admission)

    run(main())


def test_what_needs_no_memory_does_not_wait_for_it() -> None:
    async def main() -> None:
        admission = admitting()
        async with full(admission):
            caller = Caller(admission, 0)
            await settled()
            assert caller.is_in()
            caller.end()

    run(main())


def test_what_turns_out_smaller_makes_room_and_what_turns_out_larger_takes_it() -> None:
    async def main() -> None:
        admission = admitting()
        async with full(admission) as holder:
            second = Caller(admission, MEMORY - 10)
            await settled()
            assert not second.is_in()
            holder.asking.result().holds(10)
            await settled()
            assert second.is_in()
            second.asking.result().holds(3 * MEMORY)
            third = Caller(admission, 1)
            await settled()
            assert not third.is_in()
            second.end()
            await settled()
            assert third.is_in()
            third.end()
        await require_empty(admission)

    run(main())


def test_one_caller_has_no_more_than_its_share_waiting_included() -> None:
    alice = Identity("token", "alice", EVERYTHING)

    async def main() -> None:
        admission = Admission(Limits(transfers_per_identity=2), places=1, patience=PATIENCE)
        callers = [Caller(admission, identity=alice) for _ in range(3)]
        await settled()
        with pytest.raises(TooManyRequests):
            await callers[2].asking
        callers[2].end()
        callers[1].asking.cancel()
        await settled()
        callers[1].end()
        again = Caller(admission, identity=alice)
        callers[0].end()
        await settled()
        assert again.is_in()
        again.end()
        assert not admission._limits._transfers

    run(main())
