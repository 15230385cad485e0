"""The bridge for bytes: a request's body into an `Upload`, a `Download` into a response's body, and what is
used like one of these.

Both ways one batch is at the storage while the next one is at the network, and never more than
that is held in memory: whichever side is slower makes the other one wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app import metrics
from app.api.digests import Digests
from app.api.pace import Pace, watched
from app.api.threads import StorageThreads, finished
from app.errors import ServerBusy, StorageError, UploadInterrupted
from app.storage.base import Chunk, Download
from app.storage.entry import Entry

logger = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
"""Enough to make the cost of a thread switch small, little enough for many transfers at once. A storage's
chunks are no larger."""
TRANSFER_BYTES = 2 * BATCH_BYTES
"""What a transfer of any size holds."""
MAX_PIECES = 256
"""Each costs memory of its own, and a hostile client may send them byte by byte."""


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Sink(Protocol[T_co]):
    """What takes a body: an `Upload`, or what makes several of them from one body.

    The latter may have much to do for a few bytes. It does that in slices, between which others have the
    thread, and which another call without arguments goes on with.
    """

    @property
    def ready(self) -> Future[None] | None:
        """See `Upload.ready`. What makes several uploads has one after the other."""
        ...

    def write(self, *pieces: bytes) -> bool | None:
        """Whether there is more to do with the pieces: then this is to be called again, without pieces,
        before all else, and when it is `ready`."""
        ...

    def commit(self) -> T_co | None:
        """None where there is more to do: then this is to be called again."""
        ...


class Source(Protocol):
    """What a response is made of: a `Download`, or what is made of several."""

    @property
    def entry(self) -> Entry: ...
    def __next__(self) -> Chunk: ...
    def next_at_once(self) -> Chunk | None: ...
    def close(self) -> None: ...


async def admitted(sink: Sink[object], patience: float | None) -> None:
    """Waits, without a thread, until there is room for the upload. Raises `ServerBusy`."""
    if sink.ready is None or sink.ready.done():
        return
    try:
        with metrics.WAITING.track_inprogress():
            async with asyncio.timeout(patience):
                await asyncio.wrap_future(sink.ready)
    except TimeoutError:
        raise ServerBusy("The server is busy with other uploads; try again later.", "memory") from None


async def receive(
    body: AsyncIterator[bytes],
    length: int | None,
    sink: Sink[T],
    digests: Digests,
    threads: StorageThreads,
    *,
    judge: Callable[[int], None],
    pace: Pace,
    require_client: Callable[[], None] | None = None,
) -> T:
    """Writes the whole body to `sink` and commits it, if it has the `digests` that were announced.

    `require_client` raises where the client is gone; it is asked between two slices, as long as not all
    of the body has come. Whoever leaves after that has sent all, and all is stored.

    Raises `UploadInterrupted` if the client breaks off, or if there are not the `length` bytes that
    it announced; `TransferTooSlow`; `ServerBusy`; what `judge` raises of the bytes that came so far, and
    `Digests.verify` of all of them. However it ends, nothing of it is running then.
    """
    received = 0
    has_come = verified = False
    writing: asyncio.Future[None] | None = None
    pieces: list[bytes] = []
    size = 0

    def write(batch: Sequence[bytes]) -> bool | None:
        for data in batch:
            digests.update(data)
        return sink.write(*batch)

    def write_and_commit(batch: Sequence[bytes], unfinished: bool) -> T | None:
        """None where it is to be called again, for what is left."""
        nonlocal verified
        if unfinished and write(batch):
            return None
        if not verified:
            digests.verify()
            verified = True
        return sink.commit()

    async def admit_and_write(batch: Sequence[bytes]) -> None:
        # Only now: a client that sends nothing takes no room from others.
        await admitted(sink, threads.patience)
        while await threads.run(write, batch):
            if require_client is not None and not has_come:
                require_client()
            await admitted(sink, threads.patience)
            batch = ()

    try:
        async with watched(pace) as watch:
            watch.waits()
            async for piece in body:
                watch.moved(len(piece))
                if piece:
                    pieces.append(piece)
                size += len(piece)
                received += len(piece)
                if size >= BATCH_BYTES or len(pieces) >= MAX_PIECES:
                    judge(received)
                    if writing is not None:
                        await writing
                    writing = asyncio.ensure_future(admit_and_write(pieces))
                    pieces, size = [], 0
                watch.waits()
        judge(received)
        if length is not None and received != length:
            raise UploadInterrupted(f"{received} bytes arrived of the {length} that were announced.")
        has_come = True
        if writing is not None:
            await writing
        unfinished = bool(pieces)
        while True:
            if unfinished:
                await admitted(sink, threads.patience)
            committed = await threads.run(write_and_commit, pieces, unfinished)
            if committed is not None:
                return committed
            pieces, unfinished = [], not verified
    except ClientDisconnect:
        raise UploadInterrupted("The client broke off before the whole artifact had arrived.") from None
    finally:
        if writing is not None:
            await finished(writing)


async def digest_of(
    download: Download, name: str, threads: StorageThreads, is_gone: Callable[[], Awaitable[bool]]
) -> bytes:
    """What the hash of that name in `hashlib` makes of all bytes of the download; a client waits for it.

    Read by the chunk, so that others get their turn. Raises `UploadInterrupted` when the client is gone.
    """
    digest = hashlib.new(name, usedforsecurity=False)

    def step() -> bool:
        chunk = next(download, b"")
        digest.update(chunk)
        return bool(chunk)

    while await threads.run(step):
        if await is_gone():
            raise UploadInterrupted("The client went away before the digest was there.")
    return digest.digest()


class WholeResponse(Response):
    """Is over when the client has taken it, not when the server has: so long its bytes are in memory."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class DownloadResponse(Response):
    """Streams a `Download`, whose first chunk was already read, and closes it.

    If storage fails in the middle, the connection is cut, so that the client sees a body shorter
    than its Content-Length, or one in chunks without its end. If the client goes away, reading stops.
    """

    def __init__(
        self,
        first: Chunk,
        download: Source,
        threads: StorageThreads,
        *,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=status_code, headers=headers)
        if "Content-Length" not in headers:
            del self.headers["Content-Length"]  # else it would be 0
        self._first = first
        self._download = download
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await self._stream(receive, send)
        finally:
            await self._threads.clean_up(self._download.close)

    async def _stream(self, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        chunk, self._first = self._first, b""
        try:
            # `send` returns while the server still holds the chunk: that one is at the network
            # while the next one is read here, so reading ahead would hold a third in memory.
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return
                chunk = await self._next()
            await send({"type": "http.response.body", "body": b""})
        except (StorageError, ServerBusy) as error:  # the latter where no thread gets free
            path = str(self._download.entry.path)
            logger.error("Cut the download of %a: %s Cause: %s", path, error, error.__cause__)
        finally:
            gone.cancel()

    async def _next(self) -> Chunk:
        chunk = self._download.next_at_once()
        if chunk is None:
            return await self._threads.run(next, self._download, b"")
        await asyncio.sleep(0)  # others' turn, which a client that is as fast as we are would not leave them
        return chunk


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
