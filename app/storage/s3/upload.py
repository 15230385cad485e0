"""An upload to S3: in one piece where it is small, in parts otherwise; visible in one moment, or never."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Self

from app.budget import Budget
from app.errors import RequestTooLarge, UploadInterrupted
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.s3.failures import translated
from app.storage.s3.multipart import OpenUpload, Part
from app.storage.s3.parts import MAX_PARTS, part_size
from app.storage.s3.publishing import Publication, Publisher
from app.storage.s3.sending import Sending

_SMALL_BYTES = 512 * 1024
"""What is not larger is in memory anyway while it arrives, and waits for nobody."""
_STEP_BYTES = 32 * 1024 * 1024
ABORT_PATIENCE = 5.0
"""Seconds to wait for an abort: the storage may be the very thing that does not answer."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all uploads of one process share."""

    publisher: Publisher
    memory: Budget
    """Of parts that are written or sent."""
    held: Budget
    """Of what batches keep in memory until they are published."""
    part_size: int
    senders: ThreadPoolExecutor
    """Send parts."""
    undertakers: ThreadPoolExecutor
    """Abort."""
    batches: ThreadPoolExecutor
    """Judge, publish and abort what is in batches."""

    def give_up(
        self,
        upload: OpenUpload,
        publication: Publication | None,
        sending: Collection[Future[None]] = (),
    ) -> None:
        """Aborts the upload once those of its parts that are being sent have come to an end.

        Waits for that no longer than the patience lasts; it goes on. Where the publication may have
        been successful, nothing is aborted.
        """
        if publication is not None and publication.in_doubt:
            self.publisher.uploads.leave(upload)
            return

        def abort() -> None:
            # A part that arrives after the abort would stay for good.
            wait(sending)
            self.publisher.uploads.abort(upload)

        # Not by the senders, which may all be waiting for a storage that is silent.
        wait([self.undertakers.submit(abort)], ABORT_PATIENCE)


class S3Upload:
    """See `app.storage.base.Upload`."""

    created = False
    _open = True
    _aborted = False
    _upload: OpenUpload | None = None

    def __init__(
        self,
        workshop: Workshop,
        path: ArtifactPath,
        size: int | None,
        publication: Publication,
    ) -> None:
        self._workshop = workshop
        self._path = path
        self._part_size = part_size(workshop.part_size, size)
        self._publication = publication
        self._buffer = bytearray()
        self._filled = 0
        """Bytes of the buffer that are used."""
        self._size = 0
        self._parts: list[Part] = []
        """In their order; empty where one is still being sent."""
        self._sending = Sending(workshop.senders, workshop.memory)
        self._announced = size
        # What this upload holds of the memory, and so the size of its buffer: a part, or all of a small one.
        self._share = self._part_size if size is None else min(size, self._part_size)
        self._granted: Future[None] | None = None

    @property
    def ready(self) -> Future[None] | None:
        if self._granted is None and self._share > _SMALL_BYTES:
            self._granted = self._workshop.memory.reserve(self._share)
        return self._granted

    def write(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._write(piece)

    def _write(self, data: bytes) -> None:
        if (ready := self.ready) is not None:
            ready.result()
        self._size += len(data)
        if self._announced is not None and self._size > self._announced:
            raise UploadInterrupted(f"More than the {self._announced} bytes arrived that were announced.")
        rest = memoryview(data)
        while rest:
            if self._filled == self._share:
                with translated(self._path):
                    self._send_part()
            if self._filled == len(self._buffer):
                # In few large steps: a buffer that grows with each batch leaves holes in the heap.
                self._buffer += bytes(min(_STEP_BYTES, self._share - self._filled))
            piece = rest[: len(self._buffer) - self._filled]
            self._buffer[self._filled : self._filled + len(piece)] = piece
            self._filled += len(piece)
            rest = rest[len(piece) :]

    def commit(self) -> Entry:
        try:
            with translated(self._path):
                etag = self._keep()
        except BaseException:
            self.abort()
            raise
        self._close()
        return Entry(self._path, size=self._size, etag=etag)

    def _keep(self) -> str | None:
        """Makes what was written the artifact; gives its ETag."""
        if self._upload is None:
            etag, self.created = self._publication.put(self._take_buffer())
        else:
            etag, self.created = self._publication.complete(*self._all_sent())
        return etag

    def _all_sent(self) -> tuple[OpenUpload, list[Part]]:
        """Sends the last part, an empty one if need be, and waits for all of them."""
        upload = self._send_part()
        self._sending.finish()
        return upload, self._parts

    def _send_part(self) -> OpenUpload:
        """Sends the buffer as a part."""
        if len(self._parts) == MAX_PARTS:
            raise RequestTooLarge(
                f"{str(self._path)!r} does not fit into {MAX_PARTS} parts of {self._part_size} bytes; "
                "announce its Content-Length, for parts as large as needed."
            )
        if self._upload is None:
            self._upload = self._publication.begin()
        self._parts.append(())
        number, data = len(self._parts), self._take_buffer()
        self._sending.send(len(data), partial(self._send, self._upload, number, data))
        return self._upload

    def _take_buffer(self) -> bytearray:
        data, self._buffer = self._buffer, bytearray()
        del data[self._filled :]
        self._filled = 0
        return data

    def _send(self, upload: OpenUpload, number: int, data: bytearray) -> None:
        if not self._aborted:
            self._parts[number - 1] = self._workshop.publisher.uploads.send(upload, number, data)

    def abort(self) -> None:
        if not self._open:
            return
        self._aborted = True
        self._buffer = bytearray()
        if self._upload is not None:
            self._workshop.give_up(self._upload, self._publication, self._sending.running)
        self._close()

    def _close(self) -> None:
        self._open = False
        if self._granted is not None:
            self._workshop.memory.withdraw(self._share, self._granted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()
