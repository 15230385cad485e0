"""A download from the local root: one open descriptor, so one version, whatever replaces it."""

from __future__ import annotations

import os
from typing import Self

from app.errors import StorageError
from app.storage.base import Chunk
from app.storage.entry import Entry
from app.storage.local.cached import Reader
from app.storage.local.failures import translated
from app.storage.local.tree import close_unwritten
from app.storage.ranges import Span

CHUNK_BYTES = 512 * 1024


class LocalDownload:
    """See `app.storage.base.Download`. Takes over the descriptor."""

    def __init__(self, descriptor: int, entry: Entry, span: Span, read_at_once: Reader | None) -> None:
        self.entry = entry
        self.span = span
        self._descriptor: int | None = descriptor
        self._position = span.start
        self._read_at_once = read_at_once

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        wanted = self._wanted()
        if not wanted:
            raise StopIteration
        with translated(self.entry.path):
            chunk = os.pread(self._open_descriptor(), wanted, self._position)
        if not chunk:
            raise StorageError(f"The artifact {str(self.entry.path)!r} was cut short while it was read.")
        self._position += len(chunk)
        return chunk

    def next_at_once(self) -> Chunk | None:
        wanted = self._wanted()
        if not wanted:
            return b""
        if self._read_at_once is None:
            return None
        try:
            chunk = self._read_at_once(self._open_descriptor(), wanted, self._position)
        except (OSError, NotImplementedError):  # the latter where the kernel is older than Python's own
            return None  # a thread finds out what it is
        self._position += len(chunk)
        return chunk or None

    def _wanted(self) -> int:
        return min(CHUNK_BYTES, self.span.stop - self._position)

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError("the download is closed")
        return self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            close_unwritten(self._descriptor)
            self._descriptor = None
