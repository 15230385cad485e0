"""An upload to S3: in one piece where it is small, in parts otherwise; visible in one moment, or never."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Self

from app.budget import Budget
from app.errors import RequestTooLarge, UploadInterrupted
from app.paths import ArtifactPath
from app.storage.base import Entry, Precondition
from app.storage.s3.failures import translated
from app.storage.s3.multipart import OpenUpload, Part
from app.storage.s3.parts import MAX_PARTS, part_size
from app.storage.s3.publishing import Publisher

_SMALL_BYTES = 512 * 1024
"""What is not larger is in memory anyway while it arrives, and waits for nobody."""
_STEP_BYTES = 32 * 1024 * 1024
_ABORT_PATIENCE = 5.0
"""Seconds to wait for an abort: the storage may be the very thing that does not answer."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all uploads of one process share."""

    publisher: Publisher
    memory: Budget
    part_size: int
    senders: ThreadPoolExecutor
    """Send parts."""
    undertakers: ThreadPoolExecutor
    """Abort."""


class S3Upload:
    """See `app.storage.base.Upload`."""

    created = False
    _open = True
    _aborted = False
    _upload: OpenUpload | None = None

    def __init__(
        self, workshop: Workshop, path: ArtifactPath, size: int | None, precondition: Precondition
    ) -> None:
        self._workshop = workshop
        self._path = path
        self._part_size = part_size(workshop.part_size, size)
        with translated(path):
            self._publication = workshop.publisher.prepare(path, precondition)
        self._buffer = bytearray()
        self._filled = 0
        """Bytes of the buffer that are used."""
        self._size = 0
        self._parts: list[Part] = []
        """In their order; empty where one is still being sent."""
        self._sending: set[Future[None]] = set()
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
                etag, self.created = self._publish()
        except BaseException:
            self.abort()
            raise
        self._close()
        return Entry(self._path, size=self._size, etag=etag)

    def _publish(self) -> tuple[str | None, bool]:
        if self._upload is None:
            return self._publication.put(self._take_buffer())
        self._send_part()
        _require_sent(self._sending)
        return self._publication.complete(self._upload, self._parts)

    def _send_part(self) -> None:
        """Sends the buffer as a part: beside what comes next, where there is memory for both."""
        if len(self._parts) == MAX_PARTS:
            raise RequestTooLarge(
                f"{str(self._path)!r} does not fit into {MAX_PARTS} parts of {self._part_size} bytes; "
                "announce its Content-Length, for parts as large as needed."
            )
        if self._upload is None:
            self._upload = self._publication.begin()
        self._parts.append({})
        number, data = len(self._parts), self._take_buffer()
        while not self._workshop.memory.take(len(data)):
            if not self._sending:
                self._send(self._upload, number, data)
                return
            finished, self._sending = wait(self._sending, return_when=FIRST_COMPLETED)
            _require_sent(finished)
        finished = {part for part in self._sending if part.done()}
        self._sending -= finished
        self._sending.add(self._workshop.senders.submit(self._send_and_release, self._upload, number, data))
        _require_sent(finished)

    def _take_buffer(self) -> bytearray:
        data, self._buffer = self._buffer, bytearray()
        del data[self._filled :]
        self._filled = 0
        return data

    def _send(self, upload: OpenUpload, number: int, data: bytearray) -> None:
        self._parts[number - 1] = self._workshop.publisher.uploads.send(upload, number, data)

    def _send_and_release(self, upload: OpenUpload, number: int, data: bytearray) -> None:
        try:
            if not self._aborted:
                self._send(upload, number, data)
        finally:
            self._workshop.memory.release(len(data))

    def abort(self) -> None:
        if not self._open:
            return
        self._aborted = True
        self._buffer = bytearray()
        if self._upload is not None and self._publication.in_doubt:
            self._workshop.publisher.uploads.leave(self._upload)
        elif self._upload is not None:
            # Not by the senders, which may all be waiting for a storage that is silent.
            aborting = self._workshop.undertakers.submit(self._abort_upload, self._upload)
            wait([aborting], _ABORT_PATIENCE)
        self._close()

    def _abort_upload(self, upload: OpenUpload) -> None:
        # A part that arrives after the abort would stay for good.
        wait(self._sending)
        self._workshop.publisher.uploads.abort(upload)

    def _close(self) -> None:
        self._open = False
        if self._granted is not None:
            self._workshop.memory.withdraw(self._share, self._granted)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


def _require_sent(parts: Iterable[Future[None]]) -> None:
    """Raises the failure of any of these parts that has failed; waits for those that are being sent."""
    for part in parts:
        part.result()
