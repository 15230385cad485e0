"""The bridge between a body and the storage: order, bounded memory, interruption, cancellation."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from app.api import transfer
from app.api.access import Access
from app.api.digests import Digests
from app.api.gateway import Gateway
from app.api.threads import StorageThreads
from app.api.transfer import BATCH_BYTES, DownloadResponse, receive
from app.errors import ArtifactError, DigestMismatch, StorageError, StorageFull, UploadInterrupted
from app.paths import ArtifactPath
from app.storage.base import Entry, Span, Storage

PATIENCE = 20
A_MOMENT = 0.05
"""Seconds in which what must not happen would have happened."""

PATH = ArtifactPath.parse("models/a.bin")
PIECE = bytes(range(256)) * 256
PIECES_PER_BATCH = BATCH_BYTES // len(PIECE)
NO_DIGESTS = Headers()

Message = MutableMapping[str, Any]


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a test in an event loop that must have nothing to complain of in the end."""
    complaints: list[str] = []

    async def watched() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
        await asyncio.wait_for(main, PATIENCE)
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(watched())
    assert complaints == []


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - it comes from other threads
        await asyncio.sleep(0.002)


@pytest.fixture
def threads() -> Iterator[StorageThreads]:
    opened = StorageThreads(2)
    yield opened
    opened.close()


class Gate:
    """Where storage waits until the test lets it go on."""

    def __init__(self, *, closed: bool = False) -> None:
        self._passes = threading.Semaphore(0 if closed else 1_000_000)
        self.reached = 0

    def let_through(self, times: int = 1) -> None:
        self._passes.release(times)

    def wait(self) -> None:
        self.reached += 1
        assert self._passes.acquire(timeout=PATIENCE)


class FakeUpload:
    """Keeps what is written, and remembers if any two of its calls overlapped."""

    created = True

    def __init__(self, gate: Gate | None = None, error: ArtifactError | None = None) -> None:
        self.gate = gate or Gate()
        self.written: list[bytes] = []
        self.calls: list[str] = []
        self.overlapped = False
        self._error = error
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def _called(self, name: str) -> Iterator[None]:
        self.calls.append(name)
        self.overlapped |= not self._one_at_a_time.acquire(blocking=False)
        try:
            yield
        finally:
            self._one_at_a_time.release()

    @property
    def idle(self) -> bool:
        return not self._one_at_a_time.locked()

    @property
    def size(self) -> int:
        return sum(map(len, self.written))

    def write(self, data: bytes) -> None:
        with self._called("write"):
            self.gate.wait()
            if self._error is not None:
                raise self._error
            self.written.append(data)

    def commit(self) -> Entry:
        with self._called("commit"):
            return Entry(PATH, size=self.size, etag="v1")

    def abort(self) -> None:
        with self._called("abort"):
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class Body:
    """A client's body, which counts how far it was pulled."""

    def __init__(
        self, pieces: Sequence[bytes], error: Exception | None = None, *, stalls: bool = False
    ) -> None:
        self._pieces = pieces
        self._error = error
        self._stalls = stalls
        self.pulled = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.pulled += len(piece)
            yield piece
            await asyncio.sleep(0)
        if self._stalls:
            await asyncio.Event().wait()
        if self._error is not None:
            raise self._error


def received(body: Body, upload: FakeUpload, threads: StorageThreads) -> Coroutine[Any, Any, None]:
    return receive(aiter(body), upload, Digests(NO_DIGESTS), threads)


class TestReceive:
    @given(pieces=st.lists(st.binary(max_size=30), max_size=20), batch=st.integers(1, 40))
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_body_is_written_whole_and_in_order(
        self, threads: StorageThreads, pieces: list[bytes], batch: int
    ) -> None:
        whole = b"".join(pieces)
        digest = b64encode(hashlib.sha256(whole).digest()).decode()
        digests = Digests(Headers({"Content-Digest": f"sha-256=:{digest}:"}))
        upload = FakeUpload()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(transfer, "BATCH_BYTES", batch)
            asyncio.run(receive(aiter(Body(pieces)), upload, digests, threads))
        assert b"".join(upload.written) == whole
        assert all(len(data) >= batch for data in upload.written[:-1])
        assert b"" not in upload.written
        assert not upload.overlapped
        digests.verify()

    def test_small_pieces_are_gathered(self, threads: StorageThreads) -> None:
        upload = FakeUpload()
        run(received(Body([PIECE] * (3 * PIECES_PER_BATCH + 1)), upload, threads))
        assert [len(data) for data in upload.written] == [BATCH_BYTES] * 3 + [len(PIECE)]

    @pytest.mark.parametrize("pieces", [[], [b""], [b"", b"", b""]])
    def test_an_empty_body_writes_nothing(self, threads: StorageThreads, pieces: list[bytes]) -> None:
        upload = FakeUpload()
        run(received(Body(pieces), upload, threads))
        assert upload.calls == []

    def test_the_next_batch_arrives_while_one_is_written_and_no_more(self, threads: StorageThreads) -> None:
        batches = 10
        body, upload = Body([PIECE] * (batches * PIECES_PER_BATCH)), FakeUpload(Gate(closed=True))

        async def one_written(written: int) -> None:
            held = min(2, batches - written) * BATCH_BYTES
            await until(lambda: upload.gate.reached == written + 1 and body.pulled - upload.size >= held)
            await asyncio.sleep(A_MOMENT / 5)
            assert body.pulled - upload.size == held
            upload.gate.let_through()

        async def main() -> None:
            receiving = asyncio.create_task(received(body, upload, threads))
            for written in range(batches):
                await one_written(written)
            await receiving

        run(main())
        assert upload.size == batches * BATCH_BYTES
        assert not upload.overlapped

    def test_a_client_that_sends_nothing_holds_no_thread(self) -> None:
        threads = StorageThreads(1)
        body, upload = Body([PIECE], stalls=True), FakeUpload()

        async def main() -> None:
            receiving = asyncio.create_task(received(body, upload, threads))
            await until(lambda: body.pulled)
            assert await threads.run(lambda: "free") == "free"
            receiving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receiving

        run(main())
        threads.close()
        assert upload.calls == []

    @pytest.mark.parametrize("batches", [0, 1, 3])
    def test_a_client_that_breaks_off_interrupts_the_upload(
        self, threads: StorageThreads, batches: int
    ) -> None:
        body = Body([*[PIECE] * (batches * PIECES_PER_BATCH), b"x"], ClientDisconnect())
        upload = FakeUpload()

        async def main() -> None:
            with pytest.raises(UploadInterrupted):
                await received(body, upload, threads)

        run(main())
        assert upload.size == batches * BATCH_BYTES

    def test_a_write_that_runs_when_the_client_breaks_off_is_waited_for(
        self, threads: StorageThreads
    ) -> None:
        body, upload = Body([PIECE] * PIECES_PER_BATCH, ClientDisconnect()), FakeUpload(Gate(closed=True))

        async def main() -> None:
            receiving = asyncio.create_task(received(body, upload, threads))
            await until(lambda: upload.gate.reached)
            await asyncio.sleep(A_MOMENT)
            assert not receiving.done()
            upload.gate.let_through()
            with pytest.raises(UploadInterrupted):
                await receiving
            assert upload.idle

        run(main())

    def test_a_storage_that_fails_stops_the_upload_within_the_next_batch(
        self, threads: StorageThreads
    ) -> None:
        body = Body([PIECE] * (100 * PIECES_PER_BATCH))
        upload = FakeUpload(error=StorageFull("full"))

        async def main() -> None:
            with pytest.raises(StorageFull):
                await received(body, upload, threads)

        run(main())
        assert upload.calls == ["write"]
        assert body.pulled <= 2 * BATCH_BYTES

    def test_a_storage_that_fails_in_the_last_write_fails_the_upload(self, threads: StorageThreads) -> None:
        async def main() -> None:
            with pytest.raises(StorageFull):
                await received(Body([b"x"]), FakeUpload(error=StorageFull("full")), threads)

        run(main())

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("batches", [1, 2, 5], ids=["for the body", "for the last write", "for a write"])
    def test_an_upload_that_is_cancelled_while_it_waits_leaves_no_write_running(
        self, threads: StorageThreads, batches: int, times: int
    ) -> None:
        body = Body([PIECE] * (batches * PIECES_PER_BATCH), stalls=batches == 1)
        upload = FakeUpload(Gate(closed=True))

        async def main() -> None:
            receiving = asyncio.create_task(received(body, upload, threads))
            await until(lambda: body.pulled >= min(2, batches) * BATCH_BYTES and upload.gate.reached)
            for _ in range(times):
                receiving.cancel()
                await asyncio.sleep(A_MOMENT / times)
                assert not receiving.done()
            upload.gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await receiving
            assert upload.idle

        run(main())
        assert upload.calls == ["write"]

    def test_an_error_of_the_storage_is_no_leftover_of_a_cancelled_upload(
        self, threads: StorageThreads
    ) -> None:
        body = Body([PIECE] * PIECES_PER_BATCH, stalls=True)
        upload = FakeUpload(Gate(closed=True), StorageFull("full"))

        async def main() -> None:
            receiving = asyncio.create_task(received(body, upload, threads))
            await until(lambda: upload.gate.reached)
            receiving.cancel()
            upload.gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await receiving

        run(main())


class OneUpload:
    """A storage that can only start one upload."""

    def __init__(self, upload: FakeUpload) -> None:
        self._upload = upload

    def create(self, path: ArtifactPath, **_: object) -> FakeUpload:
        return self._upload


class Client:
    """The server's side of a client that uploads: what `receive` gives of it."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()

    def sends(self, body: bytes, *, more: bool) -> None:
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def breaks_off(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    def request(self, **headers: str) -> Request:
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return Request({"type": "http", "method": "PUT", "headers": raw}, self._messages.get)


class TestAbort:
    """What `Gateway.upload` makes of an upload that does not come to its end."""

    @pytest.fixture
    def upload(self) -> FakeUpload:
        return FakeUpload(Gate(closed=True))

    @pytest.fixture
    def gateway(self, upload: FakeUpload, threads: StorageThreads) -> Gateway:
        return Gateway(cast(Storage, OneUpload(upload)), threads, Access(read_only=False, no_delete=False))

    def test_it_comes_after_the_write_that_runs_when_the_request_is_cancelled(
        self, gateway: Gateway, upload: FakeUpload
    ) -> None:
        async def main() -> None:
            client = Client()
            client.sends(PIECE * PIECES_PER_BATCH, more=True)
            uploading = asyncio.create_task(gateway.upload(client.request(), PATH))
            await until(lambda: upload.gate.reached)
            for _ in range(3):
                uploading.cancel()
                await asyncio.sleep(A_MOMENT / 3)
            assert upload.calls == ["write"]
            upload.gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await uploading

        run(main())
        assert upload.calls == ["write", "abort"]
        assert not upload.overlapped

    def test_it_comes_after_the_write_that_runs_when_the_client_breaks_off(
        self, gateway: Gateway, upload: FakeUpload
    ) -> None:
        async def main() -> None:
            client = Client()
            client.sends(PIECE * PIECES_PER_BATCH, more=True)
            client.breaks_off()
            uploading = asyncio.create_task(gateway.upload(client.request(), PATH))
            await until(lambda: upload.gate.reached)
            await asyncio.sleep(A_MOMENT)
            assert upload.calls == ["write"]
            upload.gate.let_through()
            with pytest.raises(UploadInterrupted):
                await uploading

        run(main())
        assert upload.calls == ["write", "abort"]
        assert not upload.overlapped

    def test_it_comes_instead_of_a_commit_where_a_digest_is_wrong(
        self, gateway: Gateway, upload: FakeUpload
    ) -> None:
        upload.gate.let_through()

        async def main() -> None:
            client = Client()
            client.sends(b"x", more=False)
            with pytest.raises(DigestMismatch):
                await gateway.upload(client.request(content_md5=b64encode(bytes(16)).decode()), PATH)

        run(main())
        assert upload.calls == ["write", "abort"]

    def test_it_does_not_come_after_a_commit(self, gateway: Gateway, upload: FakeUpload) -> None:
        upload.gate.let_through()

        async def main() -> None:
            client = Client()
            client.sends(b"x", more=False)
            assert (await gateway.upload(client.request(), PATH)).entry.size == 1

        run(main())
        assert upload.calls == ["write", "commit"]


class FakeDownload:
    """Gives chunks, and remembers if any two of its calls overlapped or came after the end."""

    def __init__(
        self, chunks: Sequence[bytes], error: Exception | None = None, gate: Gate | None = None
    ) -> None:
        size = sum(map(len, chunks))
        self.entry = Entry(PATH, size=size, etag="v1")
        self.span = Span(0, size)
        self.gate = gate or Gate()
        self.reads = 0
        self.closed = 0
        self.misused = False
        self._chunks = iter(chunks)
        self._error = error
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def _called(self) -> Iterator[None]:
        self.misused |= not self._one_at_a_time.acquire(blocking=False) or bool(self.closed)
        try:
            yield
        finally:
            self._one_at_a_time.release()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._called():
            self.reads += 1
            self.gate.wait()
            chunk = next(self._chunks, None)
            if chunk is not None:
                return chunk
            raise self._error or StopIteration

    def close(self) -> None:
        with self._called():
            self.closed += 1


class Reader:
    """The server's side of a client that downloads: slow if told so, and gone when it leaves."""

    def __init__(self, *, slow: bool = False) -> None:
        self.sent: list[Message] = []
        self.leaves = asyncio.Event()
        self._takes = asyncio.Semaphore(0 if slow else 1_000_000)

    def takes(self, messages: int = 1) -> None:
        for _ in range(messages):
            self._takes.release()

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        await self._takes.acquire()

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def complete(self) -> bool:
        """Whether the server was told that this is all."""
        return bool(self.sent) and self.sent[-1].get("more_body", False) is False and len(self.sent) > 1


CHUNKS = [bytes([number]) * 10 for number in range(1, 7)]


def response(download: FakeDownload, threads: StorageThreads) -> DownloadResponse:
    """As the gateway makes it: the first chunk is read already."""
    return DownloadResponse(next(download), download, threads, status_code=200, headers={"X-Size": "60"})


def served(answer: DownloadResponse, reader: Reader) -> asyncio.Task[None]:
    return asyncio.create_task(_serve(answer, reader))


async def _serve(answer: DownloadResponse, reader: Reader) -> None:
    await answer({"type": "http"}, reader.receive, reader.send)


class TestDownloadResponse:
    @pytest.mark.parametrize("count", [1, 2, 6])
    def test_it_sends_every_chunk_and_then_the_end(self, threads: StorageThreads, count: int) -> None:
        download = FakeDownload(CHUNKS[:count])

        async def main() -> None:
            reader = Reader()
            await served(response(download, threads), reader)
            start = reader.sent[0]
            assert (start["type"], start["status"]) == ("http.response.start", 200)
            assert (b"x-size", b"60") in start["headers"]
            assert reader.body == b"".join(CHUNKS[:count])
            assert reader.complete

        run(main())
        assert download.closed == 1
        assert not download.misused

    def test_it_reads_one_chunk_ahead_and_no_more(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS)

        async def one_sent(reader: Reader, number: int) -> None:
            reader.takes()
            await until(lambda: len(reader.sent) == download.reads == number + 1)
            await asyncio.sleep(A_MOMENT / 5)
            assert download.reads == number + 1

        async def main() -> None:
            reader = Reader(slow=True)
            serving = served(response(download, threads), reader)
            for number in range(1, len(CHUNKS) + 1):
                await one_sent(reader, number)
            reader.takes(2)
            await serving
            assert reader.body == b"".join(CHUNKS)

        run(main())

    def test_it_stops_reading_when_the_client_is_gone(self, threads: StorageThreads) -> None:
        download = FakeDownload([b"x"] * 1000)

        async def main() -> None:
            reader = Reader(slow=True)
            serving = served(response(download, threads), reader)
            reader.takes(3)
            await until(lambda: len(reader.sent) == 4)
            reader.leaves.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reader.takes(1000)
            await serving
            assert not reader.complete
            assert len(reader.sent) <= 5

        run(main())
        assert download.reads <= 5
        assert download.closed == 1
        assert not download.misused

    @pytest.mark.parametrize("good", [1, 2, 6])
    def test_it_is_cut_where_the_storage_fails(
        self, threads: StorageThreads, caplog: pytest.LogCaptureFixture, good: int
    ) -> None:
        error = StorageError("the storage failed")
        error.__cause__ = OSError(5, "the disk is gone")
        download = FakeDownload(CHUNKS[:good], error)

        async def main() -> None:
            reader = Reader()
            await served(response(download, threads), reader)
            assert reader.body == b"".join(CHUNKS[:good])
            assert not reader.complete

        with caplog.at_level(logging.ERROR, "app.api.transfer"):
            run(main())
        [record] = caplog.records
        assert "models/a.bin" in record.getMessage()
        assert "the storage failed" in caplog.text
        assert "the disk is gone" in caplog.text
        assert download.closed == 1
        assert not download.misused

    def test_a_defect_is_no_failure_of_the_storage(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS[:2], ZeroDivisionError())

        async def main() -> None:
            reader = Reader()
            with pytest.raises(ZeroDivisionError):
                await served(response(download, threads), reader)
            assert not reader.complete

        run(main())
        assert download.closed == 1

    @pytest.mark.parametrize("messages", [0, 1, 3])
    def test_it_closes_the_download_when_sending_fails(self, threads: StorageThreads, messages: int) -> None:
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            sent: list[Message] = []

            async def send(message: Message) -> None:
                if len(sent) == messages:
                    raise ConnectionResetError
                sent.append(message)

            with pytest.raises(ConnectionResetError):
                await response(download, threads)({"type": "http"}, Reader().receive, send)

        run(main())
        assert download.closed == 1
        assert not download.misused

    @pytest.mark.parametrize("times", [1, 3])
    @pytest.mark.parametrize("slow", [True, False], ids=["while it sends", "while it reads"])
    def test_it_closes_the_download_after_the_read_that_runs_when_it_is_cancelled(
        self, threads: StorageThreads, slow: bool, times: int
    ) -> None:
        download = FakeDownload(CHUNKS, gate=Gate(closed=True))
        download.gate.let_through()

        async def main() -> None:
            reader = Reader(slow=slow)
            serving = served(response(download, threads), reader)
            reader.takes(1)
            await until(lambda: len(reader.sent) == 2 and download.reads == 2)
            for _ in range(times):
                serving.cancel()
                await asyncio.sleep(A_MOMENT / times)
                assert not serving.done()
            assert download.closed == 0
            download.gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await serving

        run(main())
        assert (download.reads, download.closed) == (2, 1)
        assert not download.misused

    def test_it_leaves_the_client_alone_while_it_is_there(self, threads: StorageThreads) -> None:
        """What a client sends while it downloads, such as the end of its empty body, is no farewell."""
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            reader = Reader()
            messages = [{"type": "http.request", "body": b"", "more_body": False}] * 3

            async def receive() -> Message:
                return messages.pop() if messages else await reader.receive()

            await response(download, threads)({"type": "http"}, receive, reader.send)
            assert reader.complete

        run(main())
