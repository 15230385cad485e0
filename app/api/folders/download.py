"""A directory as one archive, which is made while it is sent."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain, islice, repeat

from app.api.admission import Transfer
from app.api.folders.read_ahead import AHEAD_BYTES, ReadAhead
from app.api.transfer import BATCH_BYTES
from app.archives.formats import ArchiveWriter
from app.errors import ArtifactNotFound
from app.paths import ArtifactPath
from app.storage.base import Chunk, Storage
from app.storage.entry import Entry

ARCHIVE_BYTES = 4 * BATCH_BYTES + AHEAD_BYTES
"""What is held of an archive besides its members' records: a batch at the network, the next one, its pieces,
and one that did not fit."""
_FIRST_PAGE, _PAGE = 1_000, 10_000
"""Entries that are listed at once, at first and then. In between nothing of the listing is held in the
storage: who takes the archive may be slow."""
_ENTRY_BYTES = 640
"""What one of them takes."""
_BATCH_SECONDS = 0.25
"""After which a batch is sent that is not full."""


class ArchiveDownload:
    """The archive's bytes. See `app.api.transfer.Source`.

    Artifacts that are deleted before their turn comes are left out.
    """

    def __init__(
        self,
        storage: Storage,
        ahead: ReadAhead,
        directory: ArtifactPath,
        readable: Callable[[Entry], bool],
        writer: ArchiveWriter,
        transfer: Transfer,
    ) -> None:
        """`readable`: of which artifacts it is made. `transfer` has `ARCHIVE_BYTES`, and is told of more.

        The first bytes raise what the storage does, and `ArtifactNotFound` where there is nothing.
        """
        self.entry = Entry(directory, is_dir=True)
        self._storage = storage
        self._ahead = ahead
        self._directory = directory
        self._readable = readable
        self._writer = writer
        self._transfer = transfer
        self._listed = 0
        self._pieces = self._made()
        self._batches = _batches(self._pieces)

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        batch = next(self._batches)
        self._transfer.grow_to(ARCHIVE_BYTES + self._listed * _ENTRY_BYTES + self._writer.held)
        return batch

    def next_at_once(self) -> None:
        """Never: members are opened, and may be waited for."""

    def close(self) -> None:
        self._batches.close()
        self._pieces.close()

    def _made(self) -> Generator[Chunk, None, None]:
        empty = True
        with closing(self._ahead.downloads(self._members())) as downloads:
            for download, first in downloads:
                with closing(download):
                    empty = False
                    yield from self._member(download.entry, chain([first], download))
        if empty:
            place = "the artifact root" if self._directory.is_root else repr(str(self._directory))
            raise ArtifactNotFound(f"There is no artifact below {place} that you may read; list it first.")
        yield from self._writer.finish()

    def _member(self, entry: Entry, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        assert entry.size is not None
        yield self._writer.begin(self._relative(entry), entry.size, entry.modified)
        for chunk in chunks:
            if chunk:
                yield self._writer.data(chunk)
        yield self._writer.end()

    def _members(self) -> Iterator[Entry]:
        last: str | None = None
        for size in chain([_FIRST_PAGE], repeat(_PAGE)):
            listed = self._storage.list(self._directory, recursive=True, after=last, brief=True)
            page = deque(islice(listed, size))
            del listed  # which may hold open directories
            if not page:
                return
            last = self._relative(page[-1])
            self._listed = len(page)
            while page:
                entry = page.popleft()
                if self._readable(entry):
                    yield entry

    def _relative(self, entry: Entry) -> str:
        return "/".join(entry.path.segments[len(self._directory.segments) :])


def _batches(pieces: Iterator[Chunk]) -> Generator[Chunk, None, None]:
    """The pieces joined as far as they fit into a batch, and come soon."""
    batch: list[Chunk] = []
    size, begun = 0, time.monotonic()
    for piece in pieces:
        if batch and (size + len(piece) > BATCH_BYTES or time.monotonic() - begun > _BATCH_SECONDS):
            yield _taken(batch)
            size, begun = 0, time.monotonic()
        if piece:
            batch.append(piece)
            size += len(piece)
    if batch:
        yield _taken(batch)


def _taken(batch: list[Chunk]) -> Chunk:
    """All of the batch as one, which nobody else holds while it is sent."""
    taken = batch[0] if len(batch) == 1 else b"".join(batch)
    batch.clear()
    return taken
