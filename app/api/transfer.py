"""The bridge for bytes: a request's body into an `Upload`, a `Download` into a response's body.

Both ways one batch is at the storage while the next one is at the network, and never more than
that is held in memory: whichever side is slower makes the other one wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app import metrics
from app.api.digests import Digests
from app.api.pace import Pace, watched
from app.api.threads import StorageThreads, finished
from app.errors import ServerBusy, StorageError, UploadInterrupted
from app.storage.base import Chunk, Download, Entry, Upload

logger = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
"""Enough to make the cost of a thread switch small, little enough for many transfers at once. A storage's
chunks are no larger."""
TRANSFER_BYTES = 2 * BATCH_BYTES
"""What a transfer of any size holds."""
MAX_PIECES = 256
"""Each costs memory of its own, and a hostile client may send them byte by byte."""


async def admitted(upload: Upload, patience: float | None) -> None:
    """Waits, without a thread, until there is room for the upload. Raises `ServerBusy`."""
    if upload.ready is None or upload.ready.done():
        return
    try:
        with metrics.WAITING.track_inprogress():
            async with asyncio.timeout(patience):
                await asyncio.wrap_future(upload.ready)
    except TimeoutError:
        raise ServerBusy("The server is busy with other uploads; try again later.", "memory") from None


async def receive(
    body: AsyncIterator[bytes],
    length: int | None,
    upload: Upload,
    digests: Digests,
    threads: StorageThreads,
    *,
    judge: Callable[[int], None],
    pace: Pace,
) -> Entry:
    """Writes the whole body to `upload` and commits it, if it has the `digests` that were announced.

    Raises `UploadInterrupted` if the client breaks off, or if there are not the `length` bytes that
    it announced; `TransferTooSlow`; `ServerBusy`; what `judge` raises of the bytes that came so far, and
    `Digests.verify` of all of them. However it ends, nothing of it is running then.
    """
    received = 0
    writing: asyncio.Future[None] | None = None
    pieces: list[bytes] = []
    size = 0

    def write(batch: Sequence[bytes]) -> None:
        for data in batch:
            digests.update(data)
        upload.write(*batch)

    def write_and_commit(batch: Sequence[bytes]) -> Entry:
        if batch:
            write(batch)
        digests.verify()
        return upload.commit()

    async def admit_and_write(batch: Sequence[bytes]) -> None:
        # Only now: a client that sends nothing takes no room from others.
        await admitted(upload, threads.patience)
        await threads.run(write, batch)

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
        if writing is not None:
            await writing
        if size:
            await admitted(upload, threads.patience)
        return await threads.run(write_and_commit, pieces)
    except ClientDisconnect:
        raise UploadInterrupted("The client broke off before the whole artifact had arrived.") from None
    finally:
        if writing is not None:
            await finished(writing)


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
    than its Content-Length. If the client goes away, reading stops.
    """

    def __init__(
        self,
        first: Chunk,
        download: Download,
        threads: StorageThreads,
        *,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(status_code=status_code, headers=headers)
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
