"""Storage that hangs: calls wait for a thread for a while only, and what cleans up does not wait at all."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.api.problems import answer_for
from app.api.threads import StorageThreads
from app.errors import ServerBusy
from tests.support.event_loop import A_MOMENT, PATIENCE, run, until
from tests.support.fake_download import CHUNKS, FakeDownload, Reader, response, served

COUNT = 2


class Storage:
    """Hangs until it is told to go on."""

    def __init__(self) -> None:
        self.calls = 0
        self._goes_on = threading.Event()

    def hang(self) -> None:
        self.calls += 1
        assert self._goes_on.wait(PATIENCE)

    def go_on(self) -> None:
        self._goes_on.set()


@contextmanager
def threads(patience: float) -> Iterator[StorageThreads]:
    opened = StorageThreads(COUNT, patience)
    try:
        yield opened
    finally:
        opened.close()


async def all_hanging(opened: StorageThreads, storage: Storage) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(opened.run(storage.hang)) for _ in range(COUNT)]
    await until(lambda: storage.calls == COUNT)
    return tasks


def test_a_call_for_which_no_thread_gets_free_never_begins_and_is_refused_for_now() -> None:
    storage = Storage()

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        outcomes = await asyncio.gather(*(opened.run(storage.hang) for _ in range(5)), return_exceptions=True)
        refused = [error for error in outcomes if isinstance(error, ServerBusy)]
        assert [(answer_for(error).status, error.lacking) for error in refused] == [(503, "threads")] * 5
        storage.go_on()
        await asyncio.gather(*hanging)
        await opened.run(storage.hang)
        assert storage.calls == COUNT + 1

    with threads(A_MOMENT) as opened:
        run(main())


def test_a_call_that_has_begun_takes_as_long_as_it_takes() -> None:
    storage = Storage()

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        slow = threading.Event()
        behind = asyncio.create_task(opened.run(slow.wait, PATIENCE))
        await asyncio.sleep(0)
        storage.go_on()
        asyncio.get_running_loop().call_later(3 * A_MOMENT, slow.set)
        assert await behind
        await asyncio.gather(*hanging)

    with threads(A_MOMENT) as opened:
        run(main())


def test_a_call_begins_as_soon_as_a_thread_is_free() -> None:
    storage = Storage()

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        behind = [asyncio.create_task(opened.run(abs, number)) for number in range(5)]
        await asyncio.sleep(0)
        storage.go_on()
        assert await asyncio.gather(*behind) == list(range(5))
        await asyncio.gather(*hanging)

    with threads(PATIENCE) as opened:
        run(main())


def test_a_download_for_whose_next_chunk_no_thread_gets_free_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    storage, download = Storage(), FakeDownload(CHUNKS)

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        reader = Reader()
        await served(response(download, opened), reader)
        assert reader.body == CHUNKS[0]
        assert not reader.complete
        storage.go_on()
        await asyncio.gather(*hanging)

    with threads(A_MOMENT) as opened, caplog.at_level(logging.ERROR, "app.api.transfer"):
        run(main())
    [record] = caplog.records
    assert record.getMessage().startswith("Cut the download of 'models/a.bin': The storage is too slow")
    assert (download.reads, download.closed) == (1, 1)


def test_what_cleans_up_is_called_while_all_else_hangs() -> None:
    storage = Storage()

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        cleaned: list[str] = []
        for number in range(3):
            await opened.clean_up(lambda: cleaned.append("done"))
            assert len(cleaned) == number + 1
        storage.go_on()
        await asyncio.gather(*hanging)

    with threads(0) as opened:
        run(main())


def test_a_caller_that_is_cancelled_does_not_wait_for_a_thread() -> None:
    storage = Storage()

    async def main() -> None:
        hanging = await all_hanging(opened, storage)
        released: list[None] = []
        waiting = [
            asyncio.create_task(opened.run(storage.hang)),
            asyncio.create_task(opened.acquire(storage.hang, released.append)),
        ]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert all(task.cancelled() for task in waiting)
        storage.go_on()
        await asyncio.gather(*hanging)
        assert (storage.calls, released) == (COUNT, [])

    with threads(PATIENCE) as opened:
        run(main())


@pytest.mark.parametrize("times", [1, 3])
def test_what_cleans_up_is_waited_for_by_a_caller_that_is_cancelled(times: int) -> None:
    storage = Storage()

    async def main() -> None:
        task = asyncio.create_task(opened.clean_up(storage.hang))
        await until(lambda: storage.calls)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(A_MOMENT / 5)
            assert not task.done()
        storage.go_on()
        with pytest.raises(asyncio.CancelledError):
            await task

    with threads(0) as opened:
        run(main())
