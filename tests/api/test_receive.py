"""Uploads between a body and the storage: order, bounded memory, interruption, cancellation, abort."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from app.api import transfer
from app.api.digests import Digests
from app.api.gateway import Gateway
from app.api.threads import StorageThreads
from app.api.transfer import BATCH_BYTES, receive
from app.errors import ArtifactError, DigestMismatch, StorageFull, UploadInterrupted
from app.paths import ArtifactPath
from app.storage.base import Storage
from app.storage.entry import Entry
from tests.support.event_loop import A_MOMENT, run, until
from tests.support.gate import Gate
from tests.support.unlimited import UNHURRIED, unlimited
from tests.support.visits import of_anybody

PATH = ArtifactPath.parse("models/a.bin")
PIECE = bytes(range(256)) * 256
PIECES_PER_BATCH = BATCH_BYTES // len(PIECE)
NO_DIGESTS = Headers()


class FakeUpload:
    """Keeps what is written, and remembers if any two of its calls overlapped."""

    created = True
    ready: Future[None] | None = None

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

    def write(self, *pieces: bytes) -> None:
        with self._called("write"):
            self.gate.wait()
            if self._error is not None:
                raise self._error
            self.written.append(b"".join(pieces))

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


def received(
    body: Body,
    upload: FakeUpload,
    threads: StorageThreads,
    *,
    announced: int | None = None,
    digests: Digests | None = None,
) -> Coroutine[Any, Any, Entry]:
    digests = digests or Digests(NO_DIGESTS)
    return receive(aiter(body), announced, upload, digests, threads, judge=lambda size: None, pace=UNHURRIED)


@pytest.mark.parametrize("announced", [0, 4, 6])
def test_a_body_of_another_length_than_announced_is_interrupted(
    threads: StorageThreads, announced: int
) -> None:
    with pytest.raises(UploadInterrupted, match=f"5 bytes arrived of the {announced}"):
        asyncio.run(received(Body([b"12", b"345"]), FakeUpload(), threads, announced=announced))


class TestReceive:
    @given(pieces=st.lists(st.binary(max_size=30), max_size=20), batch=st.integers(1, 40))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_body_is_written_whole_and_in_order(
        self, threads: StorageThreads, pieces: list[bytes], batch: int
    ) -> None:
        whole = b"".join(pieces)
        digest = b64encode(hashlib.sha256(whole).digest()).decode()
        digests = Digests(Headers({"Content-Digest": f"sha-256=:{digest}:"}))
        upload = FakeUpload()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(transfer, "BATCH_BYTES", batch)
            asyncio.run(received(Body(pieces), upload, threads, digests=digests))
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
        assert upload.calls == ["commit"]

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
        return of_anybody(Request({"type": "http", "method": "PUT", "headers": raw}, self._messages.get))


class TestAbort:
    """What `Gateway.upload` makes of an upload that does not come to its end."""

    @pytest.fixture
    def upload(self) -> FakeUpload:
        return FakeUpload(Gate(closed=True))

    @pytest.fixture
    def gateway(self, upload: FakeUpload, threads: StorageThreads) -> Gateway:
        return unlimited(cast(Storage, OneUpload(upload)), threads)

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
