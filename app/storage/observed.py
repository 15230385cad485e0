"""A storage whose calls are measured and traced, with the interface of any other.

A listing is one call, from its first entry to its last, with what is done to them in between. So are the
judging and the publishing of a batch, but without that: others have their turn between two steps. Not
measured are the end of the chunks, for which no storage is asked, and what closes or only tells something
known. The uploads of a batch are measured, and too many to be traced: their chunks are one span together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Self

from app.paths import ArtifactPath
from app.storage.base import (
    Batch,
    Chunk,
    DirectTransfers,
    Download,
    MultipartUpload,
    Published,
    Room,
    Storage,
    Upload,
    UploadedPart,
)
from app.storage.calls import Chunks, observed, stepwise
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.ranges import ByteRange


class ObservedStorage:
    """See `app.storage.base.Storage`."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.url = storage.url

    @property
    def sweep_every(self) -> float | None:
        return self._storage.sweep_every

    @property
    def plain_files(self) -> bool:
        return self._storage.plain_files

    @property
    def usage(self) -> Callable[[ArtifactPath], int] | None:
        measure = self._storage.usage
        if measure is None:
            return None

        def usage(directory: ArtifactPath) -> int:
            with observed("usage"):
                return measure(directory)

        return usage

    @property
    def direct(self) -> DirectTransfers | None:
        direct = self._storage.direct
        return None if direct is None else _ObservedDirect(direct)

    def stat(self, path: ArtifactPath) -> Entry:
        with observed("stat"):
            return self._storage.stat(path)

    def read(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download:
        with observed("read"):
            return _ObservedDownload(self._storage.read(path, wanted))

    def read_at_once(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download | None:
        observation = observed("read")
        observation.__enter__()
        download = self._storage.read_at_once(path, wanted)
        if download is None:
            return None  # no call, then: `read` is
        observation.__exit__(None)
        return _ObservedDownload(download)

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Upload:
        with observed("create"):
            return _ObservedUpload(self._storage.create(path, size=size, precondition=precondition))

    def batch(self) -> Batch:
        with observed("batch"):
            return _ObservedBatch(self._storage.batch())

    def list(
        self,
        directory: ArtifactPath,
        *,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> Iterator[Entry]:
        with observed("list"):
            yield from self._storage.list(directory, recursive=recursive, after=after, brief=brief)

    def delete(self, path: ArtifactPath, *, precondition: Precondition = UNCONDITIONAL) -> None:
        with observed("delete"):
            self._storage.delete(path, precondition=precondition)

    def check(self) -> None:
        with observed("check"):
            self._storage.check()

    def room(self) -> Room | None:
        with observed("room"):
            return self._storage.room()

    def rehearse(self) -> Iterator[str]:
        return self._storage.rehearse()

    def sweep(self) -> int:
        with observed("sweep"):
            return self._storage.sweep()

    def close(self) -> None:
        self._storage.close()


class _ObservedDownload:
    """See `app.storage.base.Download`."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._chunks = Chunks("read_chunk")
        self.entry = download.entry
        self.span = download.span

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        with self._chunks:
            chunk = next(self._download)
        self._chunks.count(chunk)
        return chunk

    def next_at_once(self) -> Chunk | None:
        self._chunks.__enter__()
        chunk = self._download.next_at_once()
        if chunk:
            self._chunks.__exit__(None)
            self._chunks.count(chunk)
        return chunk

    def close(self) -> None:
        self._chunks.end()
        self._download.close()


class _ObservedUpload:
    """See `app.storage.base.Upload`."""

    def __init__(self, upload: Upload, batch: Chunks | None = None) -> None:
        """`batch`: the chunks of all uploads of its batch, if it belongs to one."""
        self._upload = upload
        self._alone = batch is None
        self._chunks = batch or Chunks("write")
        self.created = False

    @property
    def ready(self) -> Future[None] | None:
        return self._upload.ready

    def write(self, *pieces: bytes) -> None:
        with self._chunks:
            self._upload.write(*pieces)
        self._chunks.count(*pieces)

    def commit(self) -> Entry:
        self._end()
        with observed("commit", traced=self._alone):
            entry = self._upload.commit()
        self.created = self._upload.created
        return entry

    def abort(self) -> None:
        self._end()
        with observed("abort", traced=self._alone):
            self._upload.abort()

    def _end(self) -> None:
        if self._alone:
            self._chunks.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class _ObservedBatch:
    """See `app.storage.base.Batch`."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._chunks = Chunks("write")

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Upload:
        with observed("create", traced=False):
            upload = self._batch.create(path, size=size, precondition=precondition)
        return _ObservedUpload(upload, self._chunks)

    def judge(self) -> Iterator[None]:
        return stepwise("judge", self._batch.judge())

    def publish(self) -> Iterator[Published]:
        self._chunks.end()
        return stepwise("publish", self._batch.publish())

    def abort(self) -> None:
        self._chunks.end()
        with observed("abort_batch"):
            self._batch.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class _ObservedDirect:
    """See `app.storage.base.DirectTransfers`."""

    def __init__(self, direct: DirectTransfers) -> None:
        self._direct = direct

    def download(self, entry: Entry, disposition: str) -> str:
        with observed("presign"):
            return self._direct.download(entry, disposition)

    def begin(self, path: ArtifactPath, parts: int) -> MultipartUpload:
        with observed("begin_multipart"):
            return self._direct.begin(path, parts)

    def complete(self, path: ArtifactPath, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        with observed("complete_multipart"):
            self._direct.complete(path, upload_id, parts)

    def abort(self, path: ArtifactPath, upload_id: str) -> None:
        with observed("abort_multipart"):
            self._direct.abort(path, upload_id)
