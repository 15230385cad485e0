"""The bridge for bytes: a request's body into an `Upload`, a `Download` into a response's body.

Both ways one batch is at the storage while the next one is at the network, and never more than
that is held in memory: whichever side is slower makes the other one wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.digests import Digests
from app.api.threads import StorageThreads, finished
from app.errors import StorageError, UploadInterrupted
from app.storage.base import Download, Upload

logger = logging.getLogger(__name__)

BATCH_BYTES = 512 * 1024
"""Per upload: enough to make the cost of a thread switch small, little enough for many at once."""


async def receive(
    body: AsyncIterator[bytes], upload: Upload, digests: Digests, threads: StorageThreads
) -> None:
    """Writes the whole body to `upload` and feeds `digests` with it.

    Raises `UploadInterrupted` if the client breaks off. However it ends, no write is running then.
    """
    writing: asyncio.Future[None] | None = None

    def write(data: bytes) -> None:
        digests.update(data)
        upload.write(data)

    try:
        async for data in _batches(body):
            if writing is not None:
                await writing
            writing = asyncio.ensure_future(threads.run(write, data))
        if writing is not None:
            await writing
    except ClientDisconnect:
        raise UploadInterrupted("The client broke off before the whole artifact had arrived.") from None
    finally:
        if writing is not None:
            await finished(writing)


async def _batches(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size >= BATCH_BYTES:
            batch = b"".join(pieces)
            pieces.clear()
            size = 0
            yield batch
    if size:
        yield b"".join(pieces)


class DownloadResponse(Response):
    """Streams a `Download`, whose first chunk was already read, and closes it.

    If storage fails in the middle, the connection is cut, so that the client sees a body shorter
    than its Content-Length. If the client goes away, reading stops.
    """

    def __init__(
        self,
        first: bytes,
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
            await self._threads.run(self._download.close)

    async def _stream(self, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        reading = self._read()
        try:
            chunk = self._first
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return
                chunk = await reading
                if chunk:
                    reading = self._read()
            await send({"type": "http.response.body", "body": b""})
        except StorageError as error:
            path = str(self._download.entry.path)
            logger.error("Cut the download of %a: %s Cause: %r", path, error, error.__cause__)
        finally:
            gone.cancel()
            await finished(reading)

    def _read(self) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(self._threads.run(next, self._download, b""))


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
