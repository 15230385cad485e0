"""The contract between the HTTP surfaces and every storage backend, written here once.

All of it is synchronous and may be called from any thread; `app.api.threads` brings it to asyncio.
A backend raises nothing but `app.errors.ArtifactError`, and passes tests/storage/test_contract_*.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol, Self, TypeAlias

from app.errors import ArtifactError, ArtifactIsDirectory, PreconditionFailed
from app.paths import ArtifactPath

ETags: TypeAlias = frozenset[str] | Literal["*"]
"""Entity tags without their quotes, or "*" for any (RFC 9110, section 13.1.1)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one artifact or directory without reading it.

    A directory has neither size nor modification time nor ETag: it exists by what is in it.
    """

    path: ArtifactPath
    is_dir: bool = False
    size: int | None = None
    """Bytes."""
    modified: datetime | None = None
    """In UTC, with its zone."""
    etag: str | None = None
    """A strong validator without quotes: other bytes have another one."""

    def require_artifact(self) -> None:
        """Raises `ArtifactIsDirectory` unless this is an artifact."""
        if self.is_dir:
            raise ArtifactIsDirectory(
                f"The artifact path {str(self.path)!r} is a directory; list it, or name a file below it."
            )


class RangeNotSatisfiable(ArtifactError):
    """The range holds no byte of the artifact, whose `entry` is carried along."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(
            f"The range lies outside {str(entry.path)!r}, which has {entry.size} bytes; "
            "ask for bytes that it has, or send no Range."
        )
        self.entry = entry


class Span(NamedTuple):
    """The bytes from `start` up to and without `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range as it was asked for, before the size is known (RFC 9110, section 14.1.2).

    `first` to `last` inclusive; without `last`, to the end; without `first`, the last `last` bytes.
    """

    first: int | None
    last: int | None

    def resolve(self, size: int) -> Span | None:
        """The span within `size` bytes, or None if the range holds none of them."""
        if self.first is None:
            length = self.last or 0
            span = Span(max(0, size - length), size)
        else:
            span = Span(self.first, size if self.last is None else min(self.last + 1, size))
        return span if span.start < span.stop else None


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a request demands of the artifact that stands at its path (RFC 9110, section 13.1)."""

    match: ETags | None = None
    """If-Match: the artifact exists and its ETag is one of these."""
    none_match: ETags | None = None
    """If-None-Match: there is no artifact with one of these ETags; "*": none at all."""
    unmodified_since: datetime | None = None

    def require(self, path: ArtifactPath, current: Entry | None) -> None:
        """Raises `PreconditionFailed` unless all of it holds for `current`, None if missing."""
        if self.match is not None:
            if current is None:
                raise PreconditionFailed(f"There is no artifact {str(path)!r}, but If-Match demands one.")
            if not matches(self.match, current):
                raise PreconditionFailed(
                    f"The artifact {str(path)!r} has another ETag than If-Match demands; "
                    "read it again and decide anew."
                )
        elif self.unmodified_since is not None and modified_since(current, self.unmodified_since):
            raise PreconditionFailed(
                f"The artifact {str(path)!r} was modified since the time in If-Unmodified-Since."
            )
        if self.none_match is not None and current is not None and matches(self.none_match, current):
            raise PreconditionFailed(
                f"The artifact {str(path)!r} exists, and If-None-Match demands that it does not."
            )


def modified_since(entry: Entry | None, moment: datetime) -> bool:
    """Whether there is an artifact that was modified after `moment`, in HTTP's whole seconds."""
    return entry is not None and entry.modified is not None and entry.modified.replace(microsecond=0) > moment


def matches(etags: ETags, entry: Entry) -> bool:
    return etags == "*" or (entry.etag is not None and entry.etag in etags)


UNCONDITIONAL = Precondition()


Chunk: TypeAlias = bytes | bytearray
"""Some bytes of an artifact, which nobody changes any more."""


class Download(Protocol):
    """The bytes of one version of an artifact, even if it is replaced while they are read.

    Iterating gives chunks, each in one blocking read, and raises a `StorageError` where the
    storage fails to give exactly `span`. Close it in the end, from one thread at a time.
    """

    entry: Entry
    span: Span

    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...

    def next_at_once(self) -> Chunk | None:
        """The next chunk, empty at the end, if it is there without any waiting; else None. Never raises.

        For the event loop. Whoever gets None asks for the chunk in a thread.
        """
        ...

    def close(self) -> None: ...


class Upload(Protocol):
    """An artifact that is being written, invisible until `commit` returns.

    Used by one thread at a time, not always the same. Leaving the block without `commit` aborts.
    """

    created: bool
    """After `commit`: whether there was no artifact at the path before."""

    @property
    def ready(self) -> Future[None] | None:
        """Done when there is room in memory for the upload; None where that needs no waiting.

        Room is asked for when this is first looked at. Wait for it before the first `write`, which
        else does, and then holds its thread.
        """
        ...

    def write(self, *pieces: bytes) -> None:
        """Adds the pieces, in their order."""
        ...

    def commit(self) -> Entry:
        """Makes what was written the artifact; when it returns, that survives a crash.

        The entry is that of `stat`, but `modified` is None where the storage does not tell it here.
        Raises `PreconditionFailed` or `PathConflict` if others changed the path meanwhile.
        Whatever it raises, nothing of the upload is left, with one exception: a storage that fails
        to make a replacement durable may be unable to bring back the old artifact.
        """
        ...

    def abort(self) -> None:
        """Leaves nothing of the upload behind; does nothing after `commit` or another `abort`.

        Never raises: what cannot be removed now is left to `Storage.sweep`.
        """
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class MultipartUpload(NamedTuple):
    """An upload whose parts a client sends straight to the storage."""

    upload_id: str
    part_urls: Sequence[str]
    """In the order of the parts. They are secrets."""


class UploadedPart(NamedTuple):
    number: int
    """From 1."""
    etag: str
    """What the storage answered to the part, with or without quotes."""


class Room(NamedTuple):
    """What a disk has left, in bytes."""

    free: int
    reserve: int
    """What uploads leave free."""

    @property
    def left(self) -> int:
        """For uploads; negative where others have used some of the reserve."""
        return self.free - self.reserve


class DirectTransfers(Protocol):
    """Bytes between clients and storage by presigned URLs, past this server. Not every storage has it."""

    def download(self, entry: Entry, disposition: str) -> str:
        """A URL that lets its holder read the artifact for a while. It is a secret.

        The storage sends `disposition` as its Content-Disposition.
        """
        ...

    def begin(self, path: ArtifactPath, parts: int) -> MultipartUpload:
        """Raises `PathConflict`."""
        ...

    def complete(self, path: ArtifactPath, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        """Makes the parts the artifact.

        Raises `UploadNotFound` unless it is an upload to `path` that was begun here and is still
        open, and `InvalidRequest` unless `parts` are all of its parts, in order.
        """
        ...

    def abort(self, path: ArtifactPath, upload_id: str) -> None:
        """Forgets the upload and its parts. Raises `UploadNotFound`."""
        ...


class Storage(Protocol):
    """One artifact root. Every method may raise a `StorageError`."""

    url: str
    """The root as it was resolved, fit to be opened again by another process."""

    @property
    def sweep_every(self) -> float | None:
        """Seconds between two calls of `sweep` at most, by which live uploads show that they live."""
        ...

    @property
    def plain_files(self) -> bool:
        """Whether each artifact is a file at its own path in one directory, for other programs to read."""
        ...

    @property
    def usage(self) -> Callable[[ArtifactPath], int] | None:
        """Gives the bytes of all artifacts below a directory, where the storage can tell that cheaply."""
        ...

    @property
    def direct(self) -> DirectTransfers | None:
        """How clients get and put bytes without this server, where the storage can do that."""
        ...

    def stat(self, path: ArtifactPath) -> Entry:
        """The entry at `path`. Raises `ArtifactNotFound`."""
        ...

    def read(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download:
        """The artifact's bytes, or those of a range of it.

        Raises `ArtifactNotFound`, `ArtifactIsDirectory` and `RangeNotSatisfiable` at once, never
        in the first chunk: a status cannot be changed once a response has started.
        """
        ...

    def read_at_once(self, path: ArtifactPath, wanted: ByteRange | None = None) -> Download | None:
        """What `read` gives, if that needs no waiting; else None, also where it would raise. Never raises.

        For the event loop. Whoever gets None calls `read` in a thread.
        """
        ...

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Upload:
        """Starts an upload of `size` bytes, None where that is not known.

        What can be refused early is: `PathConflict`, `PreconditionFailed`, `StorageFull`.
        The last writer wins, except where `precondition` says otherwise, without a race.
        """
        ...

    def list(
        self,
        directory: ArtifactPath,
        *,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> Iterator[Entry]:
        """The entries of one level, sorted by name; nothing for a file or a missing directory.

        With `recursive`, the artifacts (no directories) at any depth, sorted by path. Only those
        whose path relative to `directory` sorts after `after` are given. Order is by code point. With
        `brief`, entries may lack what is neither path nor size.
        """
        ...

    def delete(self, path: ArtifactPath, *, precondition: Precondition = UNCONDITIONAL) -> None:
        """Removes an artifact or a whole tree, by whole segments; a missing path is no error.

        A tree is not removed atomically. A directory that this leaves empty is gone as well.
        """
        ...

    def check(self) -> None:
        """Raises a `StorageError` unless the root can be used as it was configured."""
        ...

    def room(self) -> Room | None:
        """What is left for uploads, which are refused beyond it; None where there is no such end."""
        ...

    def rehearse(self) -> Iterator[str]:
        """Does all that a server will do, on a probe of its own, and names each step that succeeded.

        Raises the `StorageError` of the step that fails. Leaves nothing behind.
        """
        ...

    def sweep(self) -> int:
        """Removes what uploads of crashed servers left, never a live upload; says how many."""
        ...

    def close(self) -> None: ...
