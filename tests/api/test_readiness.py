"""The checks behind /ready: made once for all who ask, kept for a while, and never waited for for long."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import cast

import pytest
from prometheus_client import REGISTRY

from app.api import readiness
from app.api.drain import Drain
from app.api.readiness import Readiness
from app.errors import StorageFull, StorageUnavailable
from app.storage.base import Room, Storage
from tests.support.event_loop import PATIENCE, run, until
from tests.support.gate import Gate

FULL = Room(free=99, reserve=100)


class Checked:
    """As much of a storage as is asked whether it can be used."""

    def __init__(self, *, room: Room | None = None, closed: bool = False) -> None:
        self.gate = Gate(closed=closed)
        self.left = room
        self.error: Exception | None = None
        self.looked = 0

    def check(self) -> None:
        self.gate.wait()
        if self.error is not None:
            raise self.error

    def room(self) -> Room | None:
        self.looked += 1
        return self.left


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test says otherwise, an outcome is old at once."""
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 0)


def of(storage: Checked, drain: Drain | None = None) -> Readiness:
    return Readiness(cast(Storage, storage), drain or Drain())


async def told(asked: Readiness) -> dict[str, bool]:
    return {name: outcome.ok for name, outcome in (await asked.outcomes()).items()}


def hanging() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ready-storage"]


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"artifact_proxy_{name}", labels)


def test_all_is_well_where_the_storage_answers_and_the_disk_has_its_reserve() -> None:
    async def main() -> None:
        for room in (None, Room(100, 100), Room(10**15, 0)):
            assert await told(of(Checked(room=room))) == {"storage": True, "disk": True, "draining": True}

    run(main())


def test_a_disk_with_less_than_its_reserve_fails_alone() -> None:
    async def main() -> None:
        assert await told(of(Checked(room=FULL))) == {"storage": True, "disk": False, "draining": True}

    run(main())


def test_a_storage_that_fails_is_told_apart_from_one_that_is_full() -> None:
    async def main() -> None:
        storage = Checked(room=FULL)
        asked = of(storage)
        storage.error = StorageUnavailable("Not at the moment.")
        failed = (await asked.outcomes())["storage"]
        storage.error = StorageFull("No inode.")
        full = (await asked.outcomes())["storage"]
        assert not failed.ok
        assert not full.ok
        assert "no room" in full.message
        assert "no room" not in failed.message

    run(main())


def test_the_cause_is_in_the_log_once_and_for_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "app.api.readiness")

    async def main() -> None:
        storage = Checked()
        asked = of(storage)
        for _ in range(3):
            storage.error = StorageUnavailable("It is in s3://secret-bucket.")
            storage.error.__cause__ = OSError("/srv/secret/place")
            outcome = (await asked.outcomes())["storage"]
            assert "secret" not in outcome.message
        storage.error = None
        for _ in range(3):
            await asked.outcomes()

    run(main())
    [failed, well] = caplog.messages
    assert "storage" in failed
    assert "s3://secret-bucket" in failed
    assert "/srv/secret/place" in failed
    assert well == "Ready again as to the storage."


def test_a_defect_is_a_failure_with_its_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        storage = Checked()
        storage.error = ZeroDivisionError("a defect")
        assert not (await told(of(storage)))["storage"]

    run(main())
    assert "Traceback" in caplog.text
    assert "a defect" in caplog.text


def test_however_many_ask_at_once_the_storage_is_asked_once() -> None:
    async def main() -> None:
        storage = Checked(closed=True)
        asked = of(storage)
        asking = [asyncio.create_task(told(asked)) for _ in range(50)]
        await until(lambda: storage.gate.reached)
        storage.gate.let_through(50)
        assert all(all(outcome.values()) for outcome in await asyncio.gather(*asking))
        assert (storage.gate.reached, storage.looked) == (1, 1)

    run(main())


def test_whoever_asks_and_goes_away_takes_no_answer_from_others() -> None:
    async def main() -> None:
        storage = Checked(closed=True)
        asked = of(storage)
        first, second = (asyncio.create_task(told(asked)) for _ in range(2))
        await until(lambda: storage.gate.reached)
        first.cancel()
        storage.gate.let_through()
        assert (await second)["storage"]

    run(main())


def test_an_outcome_holds_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 3600)

    async def main() -> None:
        storage = Checked()
        asked = of(storage)
        for _ in range(3):
            assert (await told(asked))["storage"]
        assert storage.gate.reached == 1

    run(main())


def test_a_check_that_hangs_has_failed_and_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.1)

    async def main() -> None:
        storage = Checked(closed=True)
        asked = of(storage)
        for _ in range(3):
            outcomes = await asked.outcomes()
            assert (outcomes["storage"].ok, outcomes["disk"].ok) == (False, True)
            assert "no answer" in outcomes["storage"].message
            assert outcomes["storage"].seconds >= 0.1
        assert storage.gate.reached == 1
        storage.gate.let_through(2)
        await until(lambda: not hanging())
        assert (await told(asked))["storage"]
        assert storage.gate.reached == 2

    run(main())


def test_a_check_that_hangs_is_waited_for_once_and_keeps_nobody_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = Checked(closed=True)

    async def main() -> None:
        asked = of(storage)
        keeping = asyncio.create_task(asked.keep_made(3600))
        asked.follow()
        await until(lambda: storage.gate.reached)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping

    began = time.monotonic()
    run(main())
    assert time.monotonic() - began < readiness.PATIENCE_SECONDS, "the check still hangs"
    [thread] = hanging()
    assert thread.daemon, "else Python waits for it at its end"
    storage.gate.let_through()
    thread.join(PATIENCE)


def test_that_no_thread_can_be_had_is_a_failure_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        asked = of(Checked())
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            assert await told(asked) == {"storage": False, "disk": False, "draining": True}
        assert all((await told(asked)).values())

    run(main())


def test_a_server_about_to_stop_says_so_at_once_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FRESH_SECONDS", 3600)

    async def main() -> None:
        storage, drain = Checked(), Drain()
        asked = of(storage, drain)
        assert all((await told(asked)).values())
        drain.begun = True
        assert await told(asked) == {"storage": True, "disk": True, "draining": False}
        assert await told(of(Checked(closed=True), drain)) == {"draining": False}
        assert storage.gate.reached == 1

    run(main())


def test_the_metrics_tell_each_check_and_what_is_free() -> None:
    async def main() -> None:
        await told(of(Checked(room=FULL), Drain(begun=False)))
        assert [metric("ready", check=name) for name in ("storage", "disk", "draining")] == [1, 0, 1]
        assert metric("disk_free_bytes") == 99
        await told(of(Checked(), Drain(begun=True)))
        assert metric("ready", check="draining") == 0
        await told(of(Checked()))
        free = metric("disk_free_bytes")
        assert free is not None
        assert math.isnan(free), "a storage without a disk has no free bytes, and is not full"

    run(main())


def test_once_somebody_follows_them_the_checks_are_made_again_and_again() -> None:
    async def main() -> None:
        storage = Checked()
        asked = of(storage)
        keeping = asyncio.create_task(asked.keep_made(0.001))
        await asyncio.sleep(0.05)
        assert storage.gate.reached == 0, "stores bill each request"
        asked.follow()
        await until(lambda: storage.gate.reached > 3)
        storage.left = FULL
        await until(lambda: metric("ready", check="disk") == 0)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping

    run(main())
