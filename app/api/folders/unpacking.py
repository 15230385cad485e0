"""A body that holds many files: each is judged like an upload of its own, and all are staged together.

A few bytes of a body may be many files, and each takes its time in the storage, as does each one that is
published in the end. So all of it is done in slices, between which others have the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from time import monotonic
from typing import Generic, TypeVar

from app.api.admission import Transfer
from app.api.folders.outcomes import Outcome
from app.api.quotas import Reservations
from app.api.transfer import TRANSFER_BYTES
from app.api.uploads import require_size
from app.archives.formats import ArchiveReader, Event, MemberBegins, MemberData, MemberDirectory
from app.errors import ArtifactError, InvalidRequest, PathConflict, PreconditionFailed, RequestTooLarge
from app.paths import ArtifactPath
from app.storage.base import Batch, Upload
from app.storage.entry import Precondition

SLICE_SECONDS = 0.1
"""After which a thread is handed back at the next step: far less than anybody waits for one, and far more
than it costs to get one again."""
STEP_BYTES = 64 * 1024
"""Of a body, of which the slowest reader may make nothing at all: it takes less than a slice for so many."""
MAX_FILES = 100_000
UNPACKING_BYTES = 3 * TRANSFER_BYTES
"""What is held of such a body besides the files' records: batches of it, and what they are unpacked to."""
_RECORD_BYTES = 1280
"""What is known of a file until it is published, besides its path."""
_SEGMENT_BYTES = 80
_CHARACTER_BYTES = 4
"""Of its path, besides each other."""
_ROOTS = frozenset({".", "./"})
"""As programs name the directory that they archive."""

T = TypeVar("T")


class Unpacking(Generic[T]):
    """Writes the files of a body to a batch. See `app.api.transfer.Sink`."""

    def __init__(
        self,
        reader: ArchiveReader,
        batch: Batch,
        directory: ArtifactPath,
        outcome: Outcome[T],
        *,
        together: bool,
        require: Callable[[ArtifactPath], None],
        precondition: Precondition,
        max_size: int,
        room: Reservations,
        transfer: Transfer,
    ) -> None:
        """`together`: whether what is in the way of one file is in the way of all; else the others are
        published. `require` raises for paths that are not permitted.

        `max_size` is of one file; `transfer` has `UNPACKING_BYTES`, and is told of more.
        """
        self._reader = reader
        self._batch = batch
        self._directory = directory
        self._outcome = outcome
        self._together = together
        self._require = require
        self._precondition = precondition
        self._max_size = max_size
        self._room = room
        self._transfer = transfer
        self._events: Iterator[Event | None] = iter(())
        self._ending = self._end_all()
        self._publishing = False
        self._upload: Upload | None = None
        self._path = directory
        self._announced: int | None = None
        self._written = 0
        """Bytes of the file that has begun."""
        self._files: dict[ArtifactPath, ArtifactError | None] = {}
        self._records = 0

    @property
    def ready(self) -> Future[None] | None:
        return None if self._upload is None else self._upload.ready

    def write(self, *pieces: bytes) -> bool:
        end = monotonic() + SLICE_SECONDS
        if pieces:
            self._events = self._read(pieces)
        for event in self._events:
            if isinstance(event, MemberBegins):
                ready = self._begin(event.name, event.size)
                if ready is not None and not ready.done():
                    return True
            elif isinstance(event, MemberData):
                self._write(event.data)
            elif isinstance(event, MemberDirectory):
                _require_directory(event.name)
            elif event is not None:
                self._end()
            if monotonic() >= end:
                return True
        return False

    def _read(self, pieces: tuple[bytes, ...]) -> Iterator[Event | None]:
        """The events in the pieces, and None now and then where there are none."""
        for piece in pieces:
            for start in range(0, len(piece), STEP_BYTES):
                yield from self._reader.feed(piece[start : start + STEP_BYTES])
                yield None

    def _begin(self, name: str, size: int | None) -> Future[None] | None:
        path = _member(self._directory, name)
        self._require(path)
        self._require_new(path)
        self._path, self._announced, self._written = path, size, 0
        require_size(size or 0, self._max_size)
        self._remember(path)
        try:
            self._upload = self._batch.create(path, size=size, precondition=self._precondition)
        except (PathConflict, PreconditionFailed) as error:
            if self._together:
                raise
            self._files[path] = error.with_traceback(None)  # which would hold what was read
            return None
        self._room.grow(path, size or 0)
        return self._upload.ready

    def _require_new(self, path: ArtifactPath) -> None:
        if path in self._files:
            raise InvalidRequest(f"The file {str(path)!r} is there twice; send each file once.")
        if len(self._files) == MAX_FILES:
            raise RequestTooLarge(f"There are more than {MAX_FILES} files; send them in several requests.")

    def _remember(self, path: ArtifactPath) -> None:
        self._files[path] = None
        self._records += (
            _RECORD_BYTES + _SEGMENT_BYTES * len(path.segments) + _CHARACTER_BYTES * len(str(path))
        )
        self._transfer.grow_to(UNPACKING_BYTES + self._records)

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        if self._announced is None:
            require_size(self._written, self._max_size)
        if self._upload is None:
            return  # it was refused, and takes no room
        if self._announced is None:
            self._room.grow(self._path, len(data))
        self._upload.write(data)

    def _end(self) -> None:
        if self._upload is not None:
            self._upload.commit()
            self._upload = None

    def commit(self) -> T | None:
        """Publishes the files, if the body is complete.

        What fails to be published takes its room all the same until that is measured again.
        """
        end = monotonic() + SLICE_SECONDS
        for _ in self._ending:
            if monotonic() >= end:
                return None
        self._batch.abort()
        return self._outcome.whole(self._files)

    def _end_all(self) -> Generator[None, None, None]:
        self._reader.close()
        if not self._files:
            raise InvalidRequest("There is no file in the body; send at least one.")
        yield from self._require_places()
        if self._together:
            yield from self._batch.judge()
        self._room.keep()
        self._publishing = True
        for published in self._batch.publish():
            self._outcome.add(published)
            yield

    def broken_off(self, error: ArtifactError) -> T:
        """The answer after `abort`, if some may have been published when the error came; else raises that."""
        if not self._publishing:
            raise error
        return self._outcome.broken_off(self._files, error)

    def _require_places(self) -> Iterator[None]:
        """Refuses files that could not be there together."""
        files = {path.segments for path in self._files}
        judged: list[str] = []
        for path in self._files:
            *directory, _ = path.segments
            if directory != judged:  # else it is that of the file before
                judged = directory
                for depth in range(1, len(directory) + 1):
                    if path.segments[:depth] in files:
                        file = "/".join(directory[:depth])
                        raise InvalidRequest(
                            f"{file!r} is a file, and the directory of {str(path)!r}; send one of them."
                        )
            yield

    def abort(self) -> None:
        """Leaves nothing of what was not published."""
        self._ending.close()
        if self._upload is not None:
            self._upload.abort()
        self._batch.abort()


def _member(directory: ArtifactPath, name: str) -> ArtifactPath:
    """The path of a file by its name in the body, which is judged as a path by itself, too: one that begins
    with a drive would be another place to others."""
    relative = ArtifactPath.parse(name)
    return relative if directory.is_root else ArtifactPath.parse(f"{directory}/{relative}")


def _require_directory(name: str) -> None:
    """Directories are not stored, but whoever names one badly means something else than we do."""
    if name not in _ROOTS:
        ArtifactPath.parse(name.removeprefix("./").removesuffix("/"))
