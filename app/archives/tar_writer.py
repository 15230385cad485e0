"""Writes tar archives in the format of POSIX.1-2001 (pax), which all programs of today read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from tarfile import BLOCKSIZE, PAX_FORMAT, RECORDSIZE, TarInfo

from app.archives.base import Chunk, Remaining


class TarWriter:
    """Adds a header of 512 bytes to each member, one of 1,536 or more where its name or size is unusual."""

    held = 0

    def __init__(self) -> None:
        self._written = 0
        self._remaining = Remaining("", 0)

    def begin(self, name: str, size: int, modified: datetime | None) -> bytes:
        self._remaining = Remaining(name, size)
        member = TarInfo(name)
        member.size = size
        # Tar knows no file without a time.
        member.mtime = math.floor(modified.timestamp()) if modified else 0
        header = member.tobuf(PAX_FORMAT, "utf-8", "strict")
        self._written += len(header) + size
        return header

    def data(self, chunk: Chunk) -> Chunk:
        self._remaining.take(len(chunk))
        return chunk

    def end(self) -> bytes:
        self._remaining.end()
        return self._padding(BLOCKSIZE)

    def finish(self) -> Iterator[bytes]:
        self._written += 2 * BLOCKSIZE
        yield bytes(2 * BLOCKSIZE) + self._padding(RECORDSIZE)

    def _padding(self, unit: int) -> bytes:
        padding = bytes(-self._written % unit)
        self._written += len(padding)
        return padding
