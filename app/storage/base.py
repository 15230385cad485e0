"""The contract between the HTTP surfaces and every storage backend, written here once.

All of it is synchronous and may be called from any thread; `app.api.threads` brings it to asyncio.
A backend raises nothing but `app.errors.ArtifactError`, and passes tests/storage/test_contract_*.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol, Self, TypeAlias

from app.errors import ArtifactError
from app.paths import ArtifactPath
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.ranges import ByteRange, Span

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


class Published(NamedTuple):
    """What became of one upload of a `Batch`."""

    path: ArtifactPath
    entry: Entry | None
    """As `Upload.commit` gives it; None where it failed."""
    created: bool
    error: ArtifactError | None


class Batch(Protocol):
    """Uploads that stay invisible until all of them are complete, and appear together then.

    Together means one right after the other: no storage makes many artifacts visible in one moment.
    However many there are, each costs memory for its record alone, no descriptor, and one step of the
    iterators: before the next step others may have the thread. Used by one thread at a time, not always
    the same. Leaving the block aborts what was not published.
    """

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Upload:
        """As `Storage.create`, one at a time: an earlier one that is still open is aborted.

        Its `commit` hands the bytes over, and nothing is visible after it. The storage may hold small ones
        in a bounded memory of its own, and store others beside what comes next: what fails with them then
        is raised by a later `commit`, by `judge`, or told by `publish`. The entry lacks the ETag where the
        storage makes that later; `Published` has both, and tells whether the artifact is new. Raises
        `ValueError` for a path that was committed before, and after `abort`.
        """
        ...

    def judge(self) -> Iterator[None]:
        """Raises, at its turn, what stands in the way of the first upload that could not be published now:
        `PathConflict`, `PreconditionFailed`, or what has failed with its bytes. Changes nothing."""
        ...

    def publish(self) -> Iterator[Published]:
        """Makes the committed uploads artifacts, in their order, and tells of each what came of it.

        Nothing of one that failed is left, and the others are published all the same. When the last one
        was told, all that succeeded survive a crash. One of which the storage cannot promise that is told
        again, with the error, and the last word holds: if it is new it is taken away again, if it replaced
        something it stays. Whoever stops early, and then calls `abort`, leaves the rest unpublished,
        except for a few next ones where the storage works on several at once.
        """
        ...

    def abort(self) -> None:
        """Leaves nothing behind of what was not published, and what was as safe as it can be made.

        Never raises, as `Upload.abort`, and takes seconds at most: what is left then is swept.
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

    def batch(self) -> Batch:
        """Begins to gather uploads that belong together. Abort it in the end, or leave its block."""
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
