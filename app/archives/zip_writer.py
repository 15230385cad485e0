"""Writes zip archives that can be sent while they are made, and read while they arrive.

Nothing is compressed, yet members are marked as deflated, in blocks that hold their bytes as they are (RFC
1951, section 3.2.4). The CRC-32 is known when a member's bytes have gone by, so it follows them; and after
a member that is marked as stored, programs that read a stream (java.util.zip among them) refuse that.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from stat import S_IFREG
from typing import NamedTuple

from app.archives import zip_records as records
from app.archives.base import Chunk, Remaining

BLOCK_BYTES = 0xFFFF
"""The longest block that holds bytes as they are; each costs five more."""
PAGE_BYTES = 64 * 1024
"""The pieces in which the central directory is kept and given have one record more than this at most."""

_FLAGS = records.SIZES_FOLLOW | records.UTF_8
_MADE_ON_UNIX = 3 << 8
_NEEDS_DEFLATE = 20
_NEEDS_ZIP64 = 45
_ATTRIBUTES = (S_IFREG | 0o644) << 16


class _Member(NamedTuple):
    name: bytes
    size: int
    packed: int
    """Bytes in the archive."""
    offset: int
    """Where it begins there."""
    dos_time: tuple[int, int]
    times: bytes
    """The extra field with the exact time."""

    @property
    def is_large(self) -> bool:
        return self.packed >= records.IN_32


class ZipWriter:
    """Keeps of each member what the central directory will say: 55 bytes and its name, and 12 more where it
    lies beyond 4 GiB, 20 where it is as large itself, 28 where both."""

    def __init__(self) -> None:
        self._pages = [bytearray()]
        self._members = 0
        self._written = 0
        self._held = 0
        self._member = _Member(b"", 0, 0, 0, (0, 0), b"")
        self._remaining = Remaining("", 0)
        self._block_left = 0
        self._crc = 0

    @property
    def held(self) -> int:
        return self._held

    def begin(self, name: str, size: int, modified: datetime | None) -> bytes:
        packed = size + 5 * max(1, -(-size // BLOCK_BYTES))
        member = _Member(name.encode(), size, packed, self._written, _dos_time(modified), _times(modified))
        self._member = member
        self._remaining = Remaining(name, size)
        self._block_left = self._crc = 0
        # They could follow with the CRC, but so whoever reads knows beforehand how large the member is.
        sizes, extra = (packed, size), member.times
        if member.is_large:
            sizes, extra = (records.IN_32, records.IN_32), extra + _large(size, packed)
        numbers = (_FLAGS, records.DEFLATED, *member.dos_time, 0, *sizes, len(member.name), len(extra))
        version = _NEEDS_ZIP64 if member.is_large else _NEEDS_DEFLATE
        return self._sent(
            records.LOCAL_SIGNATURE + records.LOCAL.pack(version, *numbers) + member.name + extra
        )

    def data(self, chunk: Chunk) -> Chunk:
        self._crc = zlib.crc32(chunk, self._crc)
        pieces: list[bytes | memoryview] = []
        rest = memoryview(chunk)
        while rest:
            if not self._block_left:
                pieces.append(self._block())
            piece = rest[: self._block_left or None]
            self._remaining.take(len(piece))
            self._block_left -= len(piece)
            pieces.append(piece)
            rest = rest[len(piece) :]
        return self._sent(b"".join(pieces))

    def end(self) -> bytes:
        self._remaining.end()
        member = self._member
        self._list(member)
        record = records.DESCRIPTOR64 if member.is_large else records.DESCRIPTOR
        return self._sent(
            (b"" if member.size else self._block())
            + records.DESCRIPTOR_SIGNATURE
            + record.pack(self._crc, member.packed, member.size)
        )

    def finish(self) -> Iterator[bytes]:
        offset = self._written
        for page in self._pages:
            yield self._sent(bytes(page))
        end64, size = self._written, self._written - offset
        if self._members >= records.IN_16 or max(offset, size) >= records.IN_32:
            versions = (_MADE_ON_UNIX | _NEEDS_ZIP64, _NEEDS_ZIP64)
            yield records.END64_SIGNATURE + records.END64.pack(
                records.END64.size - 8, *versions, 0, 0, self._members, self._members, size, offset
            )
            yield records.LOCATOR_SIGNATURE + records.LOCATOR.pack(0, end64, 1)
        members = min(self._members, records.IN_16)
        yield records.END_SIGNATURE + records.END.pack(
            0, 0, members, members, min(size, records.IN_32), min(offset, records.IN_32), 0
        )

    def _block(self) -> bytes:
        """Begins the next block."""
        left = self._remaining.bytes
        self._block_left = min(left, BLOCK_BYTES)
        is_last = left == self._block_left
        return struct.pack("<BHH", is_last, self._block_left, self._block_left ^ 0xFFFF)

    def _list(self, member: _Member) -> None:
        """Adds the member to the central directory."""
        sizes, offset = (member.packed, member.size), member.offset
        large: tuple[int, ...] = ()
        if member.is_large:
            sizes, large = (records.IN_32, records.IN_32), (member.size, member.packed)
        if offset >= records.IN_32:
            offset, large = records.IN_32, (*large, offset)
        extra = member.times + (_large(*large) if large else b"")
        version = _NEEDS_ZIP64 if large else _NEEDS_DEFLATE
        numbers = (
            _FLAGS,
            records.DEFLATED,
            *member.dos_time,
            self._crc,
            *sizes,
            len(member.name),
            len(extra),
        )
        record = records.CENTRAL_SIGNATURE + records.CENTRAL.pack(
            _MADE_ON_UNIX | version, version, *numbers, 0, 0, 0, _ATTRIBUTES, offset
        )
        if len(self._pages[-1]) >= PAGE_BYTES:
            self._pages.append(bytearray())
        self._pages[-1] += record + member.name + extra
        self._members += 1
        self._held += len(record) + len(member.name) + len(extra)

    def _sent(self, data: bytes) -> bytes:
        self._written += len(data)
        return data


def _large(*numbers: int) -> bytes:
    """The extra field for numbers that do not fit into 32 bits."""
    return struct.pack(f"<HH{len(numbers)}Q", records.ZIP64_EXTRA, 8 * len(numbers), *numbers)


def _times(modified: datetime | None) -> bytes:
    """The extra field for the exact time, which ends in 2038; nothing where it cannot tell the time."""
    seconds = math.floor(modified.timestamp()) if modified else 1 << 31
    if not -1 << 31 <= seconds < 1 << 31:
        return b""
    return struct.pack("<HHBl", records.TIMES_EXTRA, 5, 1, seconds)


def _dos_time(modified: datetime | None) -> tuple[int, int]:
    """Time and date in the two fields that each member has: to two seconds, from 1980 to 2107, in UTC."""
    utc = (modified or datetime.min.replace(tzinfo=UTC)).astimezone(UTC)
    if utc.year < 1980:
        utc = datetime(1980, 1, 1, tzinfo=UTC)
    if utc.year > 2107:
        utc = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC)
    return (
        utc.hour << 11 | utc.minute << 5 | utc.second // 2,
        (utc.year - 1980) << 9 | utc.month << 5 | utc.day,
    )
