"""A download from the local root: one open descriptor, so one version, whatever replaces it."""

from __future__ import annotations

import os
from typing import Self

from app.errors import StorageError
from app.storage.base import Entry, Span
from app.storage.local.failures import translated

CHUNK_BYTES = 512 * 1024


class LocalDownload:
    """See `app.storage.base.Download`. Takes over the descriptor."""

    def __init__(self, descriptor: int, entry: Entry, span: Span) -> None:
        self.entry = entry
        self.span = span
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self._position = span.start

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        wanted = min(CHUNK_BYTES, self.span.stop - self._position)
        if wanted <= 0:
            raise StopIteration
        with translated(self.entry.path):
            chunk = os.pread(self._file.fileno(), wanted, self._position)
        if not chunk:
            raise StorageError(f"The artifact {str(self.entry.path)!r} was cut short while it was read.")
        self._position += len(chunk)
        return chunk

    def close(self) -> None:
        self._file.close()
