"""Uploads that wait for room in memory: without a thread, with little of the body, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Event
from typing import Self, cast

import pytest
from starlette.requests import Request
from starlette.types import Message

from app.api.gateway import Gateway, Stored
from app.api.problems import answer_for
from app.api.threads import StorageThreads
from app.api.transfer import BATCH_BYTES, admitted
from app.budget import Budget
from app.errors import ServerBusy
from app.paths import ArtifactPath
from app.storage.base import Storage
from app.storage.entry import Entry
from tests.support.event_loop import A_MOMENT, run, until
from tests.support.unlimited import unlimited
from tests.support.visits import of_anybody

PATH = ArtifactPath.parse("models/a.bin")
LIMIT = 1000


class Waiting:
    """An upload that shares memory with others, as those to S3 do."""

    created = True
    _open = True

    def __init__(self, memory: Budget, size: int) -> None:
        self._memory = memory
        self._size = size
        self.calls: list[str] = []
        self.granted: Future[None] | None = None

    @property
    def ready(self) -> Future[None] | None:
        if self.granted is None:
            self.granted = self._memory.reserve(self._size)
        return self.granted

    def write(self, *pieces: bytes) -> None:
        self.calls.append("write")

    def commit(self) -> Entry:
        self.calls.append("commit")
        self._give_back()
        return Entry(PATH, size=self._size, etag="v1")

    def abort(self) -> None:
        if self._open:
            self.calls.append("abort")
            self._give_back()

    def _give_back(self) -> None:
        self._open = False
        if self.granted is not None:
            self._memory.withdraw(self._size, self.granted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class Uploads:
    """A storage that can only start uploads."""

    def __init__(self) -> None:
        self.memory = Budget(LIMIT)
        self.begun: list[Waiting] = []

    def create(self, path: ArtifactPath, *, size: int, precondition: object) -> Waiting:
        self.begun.append(Waiting(self.memory, size))
        return self.begun[-1]

    @property
    def nothing_is_reserved(self) -> bool:
        if not self.memory.take(LIMIT):
            return False
        self.memory.release(LIMIT)
        return True


class Body:
    """A client's body, which counts how often it was asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0
        self._left = size

    def request(self) -> Request:
        headers = [(b"content-length", str(self.size).encode())]
        return of_anybody(Request({"type": "http", "method": "PUT", "headers": headers}, self._receive))

    async def _receive(self) -> Message:
        self.asked += 1
        piece = bytes(min(self._left, BATCH_BYTES))
        self._left -= len(piece)
        return {"type": "http.request", "body": piece, "more_body": self._left > 0}


class Silence(Body):
    """Of a client that announces much and sends nothing."""

    async def _receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError


@pytest.fixture
def one_thread() -> Iterator[StorageThreads]:
    opened = StorageThreads(1)
    yield opened
    opened.close()


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


@pytest.fixture
def gateway(uploads: Uploads, one_thread: StorageThreads) -> Gateway:
    return unlimited(cast(Storage, uploads), one_thread)


def started(gateway: Gateway, body: Body) -> asyncio.Task[Stored]:
    return asyncio.create_task(gateway.upload(body.request(), PATH))


def test_an_upload_that_needs_no_room_does_not_wait(uploads: Uploads) -> None:
    class Small(Waiting):
        ready = None

    run(admitted(holding(uploads), 0))
    run(admitted(Small(uploads.memory, LIMIT), 0))


def holding(uploads: Uploads) -> Waiting:
    """An upload that has all the room there is."""
    upload = Waiting(uploads.memory, LIMIT)
    assert upload.ready is not None
    assert upload.ready.done()
    return upload


def test_an_upload_waits_without_a_thread_and_reads_no_more_than_a_batch_ahead(
    gateway: Gateway, uploads: Uploads, one_thread: StorageThreads
) -> None:
    holder, body = holding(uploads), Body(8 * BATCH_BYTES)

    async def main() -> None:
        uploading = started(gateway, body)
        await until(lambda: uploads.begun)
        assert await one_thread.run(lambda: "free") == "free"
        await asyncio.sleep(A_MOMENT)
        assert not uploading.done()
        assert body.asked == 2
        await one_thread.run(holder.commit)
        assert (await uploading).entry.size == body.size

    run(main())
    assert uploads.begun[0].calls == ["write"] * 8 + ["commit"]
    assert uploads.nothing_is_reserved


def test_a_client_that_sends_nothing_takes_no_room_from_others(gateway: Gateway, uploads: Uploads) -> None:
    async def main() -> None:
        idle = started(gateway, Silence(1000 * LIMIT))
        await until(lambda: uploads.begun)
        assert (await started(gateway, Body(LIMIT))).entry.size == LIMIT
        idle.cancel()
        with pytest.raises(asyncio.CancelledError):
            await idle

    run(main())
    assert uploads.nothing_is_reserved


def test_uploads_are_admitted_in_the_order_in_which_they_came(gateway: Gateway, uploads: Uploads) -> None:
    holder = holding(uploads)
    finished: list[asyncio.Task[Stored]] = []

    async def main() -> None:
        uploading: list[asyncio.Task[Stored]] = []
        for _ in range(20):
            uploading.append(started(gateway, Body(LIMIT)))
            uploading[-1].add_done_callback(finished.append)
            await until(lambda: sum(upload.granted is not None for upload in uploads.begun) == len(uploading))
        holder.abort()
        await asyncio.gather(*uploading)
        assert finished == uploading

    run(main())


def test_an_upload_that_finds_no_room_in_time_is_refused_for_now_and_gives_up_its_place(
    gateway: Gateway, uploads: Uploads, one_thread: StorageThreads
) -> None:
    one_thread.patience = A_MOMENT
    holder, body = holding(uploads), Body(LIMIT)

    async def main() -> None:
        with pytest.raises(ServerBusy, match="busy with other uploads") as caught:
            await started(gateway, body)
        assert answer_for(caught.value).status == 503
        assert body.asked == 1
        holder.commit()
        assert uploads.nothing_is_reserved
        assert (await started(gateway, Body(LIMIT))).entry.size == LIMIT

    run(main())
    assert [upload.calls for upload in uploads.begun] == [["abort"], ["write", "commit"]]
    assert uploads.nothing_is_reserved


def test_an_upload_that_is_cancelled_while_it_waits_gives_up_its_place(
    gateway: Gateway, uploads: Uploads
) -> None:
    holder = holding(uploads)

    async def main() -> None:
        first, second = started(gateway, Body(LIMIT)), started(gateway, Body(LIMIT))
        await until(lambda: len(uploads.begun) == 2)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        holder.commit()
        await second

    run(main())
    assert uploads.begun[0].calls == ["abort"]
    assert uploads.begun[1].calls == ["write", "commit"]
    assert uploads.nothing_is_reserved


def test_an_upload_that_is_cancelled_while_it_is_begun_is_aborted(
    gateway: Gateway, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, begin = Event(), uploads.create

    def slowly(path: ArtifactPath, *, size: int, precondition: object) -> Waiting:
        begun.set()
        time.sleep(A_MOMENT)
        return begin(path, size=size, precondition=precondition)

    monkeypatch.setattr(uploads, "create", slowly)

    async def main() -> None:
        uploading = started(gateway, Body(LIMIT))
        await until(begun.is_set)
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading

    run(main())
    assert [upload.calls for upload in uploads.begun] == [["abort"]]


def test_whether_room_or_the_end_of_patience_comes_first_nothing_stays_reserved(
    gateway: Gateway, uploads: Uploads, one_thread: StorageThreads
) -> None:
    one_thread.patience = 0.005

    async def main() -> None:
        outcomes: list[Stored | BaseException] = []
        for _ in range(10):
            holder = holding(uploads)
            uploading = [started(gateway, Body(LIMIT // 2)) for _ in range(20)]
            await asyncio.sleep(0.004)
            holder.abort()
            outcomes += await asyncio.gather(*uploading, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert all(isinstance(outcome, ServerBusy) for outcome in refused)

    run(main())
    assert uploads.nothing_is_reserved
