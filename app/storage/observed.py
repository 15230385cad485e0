"""A storage whose calls are measured and traced, with the interface of any other.

What a call takes is told by its operation and its outcome: `ok`, or the name of the error, which
may be the caller's affair, as that there is no such artifact. A listing is one call, from its first
entry to its last, with what is done to them in between. Not measured are the end of the chunks, for
which no storage is asked, and what closes or only tells something known.

A call for a request that is traced is a span of it. Chunks are too many for that: those of a transfer
are one span together, from its opening to its end, which tells how much of that was the storage's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Self

from app import metrics, tracing
from app.errors import ArtifactError, StorageError
from app.paths import ArtifactPath
from app.storage.base import (
    UNCONDITIONAL,
    ByteRange,
    Chunk,
    DirectTransfers,
    Download,
    Entry,
    MultipartUpload,
    Precondition,
    Room,
    Storage,
    Upload,
    UploadedPart,
)

if TYPE_CHECKING:
    from prometheus_client import Histogram

_INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class _observed:
    """Around each call. No `contextmanager`, as a generator would double what this costs per chunk."""

    __slots__ = ("_operation", "_span", "_started")

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        self._span = tracing.begin(f"storage.{self._operation}")
        self._started = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _observe(self._operation, kind, perf_counter() - self._started)
        if self._span is not None:
            _end(self._span, kind)


class _Chunks:
    """All chunks of one transfer: each is measured, and all are one span."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._span = tracing.begin(f"storage.{operation}s")
        self._bytes = 0
        self._seconds = 0.0
        self._kind: type[BaseException] | None = None

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = perf_counter() - self._started
        self._seconds += seconds
        if kind is not StopIteration:
            _observe(self._operation, kind, seconds)
            self._kind = self._kind or kind

    def count(self, *pieces: Chunk) -> None:
        self._bytes += sum(map(len, pieces))

    def end(self) -> None:
        """No chunk comes any more; may be called again."""
        if self._span is not None:
            _end(self._span, self._kind, bytes=self._bytes, seconds=self._seconds)
            self._span = None


def _observe(operation: str, kind: type[BaseException] | None, seconds: float) -> None:
    meter = _meter(operation, kind)  # type: ignore[arg-type]  # a class can be hashed
    meter.observe(seconds)


def _end(span: tracing.Span, kind: type[BaseException] | None, **told: float) -> None:
    """Only the storage's own failures are errors: that an artifact is missing is an answer."""
    outcome = _outcome(kind)
    failed = outcome == "defect" or (kind is not None and issubclass(kind, StorageError))
    known: dict[str, str | float] = {"outcome": outcome, **told}
    attributes = {f"artifact_proxy.storage.{name}": value for name, value in known.items()}
    span.end(attributes, error=outcome if failed else None)


@cache
def _meter(operation: str, kind: type[BaseException] | None) -> Histogram:
    return metrics.STORAGE_CALLS.labels(operation, _outcome(kind))


def _outcome(kind: type[BaseException] | None) -> str:
    if kind is None or kind is GeneratorExit:  # the latter where nobody wants the rest of a listing
        return "ok"
    return _INNER_CAPITAL.sub("_", kind.__name__).lower() if issubclass(kind, ArtifactError) else "defect"


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

        def observed(directory: ArtifactPath) -> int:
            with _observed("usage"):
                return measure(directory)

        return observed

    @property
    def direct(self) -> DirectTransfers | None:
        direct = self._storage.direct
        return None if direct is None else _ObservedDirect(direct)

    def stat(self, path: ArtifactPath) -> Entry:
        with _observed("stat"):
            return self._storage.stat(path)

    def read(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download:
        with _observed("read"):
            return _ObservedDownload(self._storage.read(path, wanted))

    def read_at_once(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download | None:
        observation = _observed("read")
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
        with _observed("create"):
            return _ObservedUpload(self._storage.create(path, size=size, precondition=precondition))

    def list(
        self,
        directory: ArtifactPath,
        *,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> Iterator[Entry]:
        with _observed("list"):
            yield from self._storage.list(directory, recursive=recursive, after=after, brief=brief)

    def delete(self, path: ArtifactPath, *, precondition: Precondition = UNCONDITIONAL) -> None:
        with _observed("delete"):
            self._storage.delete(path, precondition=precondition)

    def check(self) -> None:
        with _observed("check"):
            self._storage.check()

    def room(self) -> Room | None:
        with _observed("room"):
            return self._storage.room()

    def rehearse(self) -> Iterator[str]:
        return self._storage.rehearse()

    def sweep(self) -> int:
        with _observed("sweep"):
            return self._storage.sweep()

    def close(self) -> None:
        self._storage.close()


class _ObservedDownload:
    """See `app.storage.base.Download`."""

    def __init__(self, download: Download) -> None:
        self._download = download
        self._chunks = _Chunks("read_chunk")
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

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        self._chunks = _Chunks("write")
        self.created = False

    @property
    def ready(self) -> Future[None] | None:
        return self._upload.ready

    def write(self, *pieces: bytes) -> None:
        with self._chunks:
            self._upload.write(*pieces)
        self._chunks.count(*pieces)

    def commit(self) -> Entry:
        self._chunks.end()
        with _observed("commit"):
            entry = self._upload.commit()
        self.created = self._upload.created
        return entry

    def abort(self) -> None:
        self._chunks.end()
        with _observed("abort"):
            self._upload.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class _ObservedDirect:
    """See `app.storage.base.DirectTransfers`."""

    def __init__(self, direct: DirectTransfers) -> None:
        self._direct = direct

    def download(self, entry: Entry, disposition: str) -> str:
        with _observed("presign"):
            return self._direct.download(entry, disposition)

    def begin(self, path: ArtifactPath, parts: int) -> MultipartUpload:
        with _observed("begin_multipart"):
            return self._direct.begin(path, parts)

    def complete(self, path: ArtifactPath, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        with _observed("complete_multipart"):
            self._direct.complete(path, upload_id, parts)

    def abort(self, path: ArtifactPath, upload_id: str) -> None:
        with _observed("abort_multipart"):
            self._direct.abort(path, upload_id)
