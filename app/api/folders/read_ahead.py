"""Many artifacts one after the other, of which small ones are read before their turn comes.

To ask a store for a small artifact takes many times longer than to read it. Files are at hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import NamedTuple

from app.errors import ArtifactIsDirectory, ArtifactNotFound
from app.paths import ArtifactPath
from app.storage.base import Chunk, Download, Storage
from app.storage.entry import Entry

_AHEAD = 8
_SMALL_BYTES = 128 * 1024
AHEAD_BYTES = _AHEAD * _SMALL_BYTES
"""What is held of artifacts whose turn has not come."""
_THREADS = 16


class Begun(NamedTuple):
    """A download with its first chunk; empty where the artifact is."""

    download: Download
    first: Chunk


class ReadAhead:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        # Threads of its own: those who wait for it are in the storage threads, and could have all of them.
        self._threads = None if storage.plain_files else ThreadPoolExecutor(_THREADS, "read-ahead")

    def downloads(self, entries: Iterator[Entry]) -> Generator[Begun, None, None]:
        """Those of the artifacts that are still there, in their order. Whoever takes one closes it.

        Raises what `Storage.read` and the download raise, at the artifact's turn.
        """
        coming: deque[Future[Begun] | ArtifactPath] = deque()
        try:
            for entry in entries:
                coming.append(self._ahead(entry) or entry.path)
                if len(coming) > _AHEAD or self._threads is None:
                    yield from self._if_there(coming.popleft())
            while coming:
                yield from self._if_there(coming.popleft())
        finally:
            for begun in coming:
                if isinstance(begun, Future) and not begun.cancel():
                    begun.add_done_callback(_close)

    def _ahead(self, entry: Entry) -> Future[Begun] | None:
        if self._threads is None or (entry.size or 0) > _SMALL_BYTES:
            return None
        context = copy_context()  # which request it is for
        return self._threads.submit(context.run, self._begin, entry.path)

    def _if_there(self, coming: Future[Begun] | ArtifactPath) -> Iterator[Begun]:
        try:
            begun = coming.result() if isinstance(coming, Future) else self._begin(coming)
        except (ArtifactNotFound, ArtifactIsDirectory):
            return  # deleted, or replaced by a directory, since it was listed
        yield begun

    def _begin(self, path: ArtifactPath) -> Begun:
        download = self._storage.read(path)
        try:
            return Begun(download, next(download, b""))
        except BaseException:
            download.close()
            raise

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)


def _close(begun: Future[Begun]) -> None:
    if begun.exception() is None:
        begun.result().download.close()
