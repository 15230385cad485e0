"""Zip archives in which everything can be said, also what is wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from app.archives import zip_records as records


def deflated(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


def field(kind: int, data: bytes) -> bytes:
    """An extra field."""
    return struct.pack("<HH", kind, len(data)) + data


@dataclass(frozen=True)
class Part:
    """A member, as it is said to be in front of it and in the central directory."""

    name: bytes = b"a"
    body: bytes = b"hello"
    """As it stands in the archive."""
    flags: int = 0
    method: int = records.STORED
    crc: int = zlib.crc32(b"hello")
    packed: int = 5
    size: int = 5
    extra: bytes = b""
    descriptor: bytes = b""
    made_by: int = 3 << 8
    attributes: int = 0
    disk: int = 0
    offset: int | None = None
    """Where it is said to begin; None for where it does."""
    listed: Part | None = None
    """As the directory has it, where that differs."""

    @classmethod
    def of(cls, data: bytes, *, deflate: bool = False, name: bytes = b"a") -> Part:
        body = deflated(data) if deflate else data
        method = records.DEFLATED if deflate else records.STORED
        return cls(name, body, 0, method, zlib.crc32(data), len(body), len(data))

    def followed(self, descriptor: bytes) -> Part:
        """The same with its sizes behind it."""
        flags = self.flags | records.SIZES_FOLLOW
        listed = replace(self, flags=flags)
        return replace(listed, crc=0, packed=0, size=0, descriptor=descriptor, listed=listed)

    @property
    def local(self) -> bytes:
        numbers = (self.flags, self.method, 0, 33, self.crc, self.packed, self.size)
        header = records.LOCAL.pack(20, *numbers, len(self.name), len(self.extra))
        return records.LOCAL_SIGNATURE + header + self.name + self.extra + self.body + self.descriptor

    def central(self, offset: int, comment: bytes = b"") -> bytes:
        numbers = (self.flags, self.method, 0, 33, self.crc, self.packed, self.size)
        lengths = (len(self.name), len(self.extra), len(comment))
        where = offset if self.offset is None else self.offset
        header = records.CENTRAL.pack(
            self.made_by | 20, 20, *numbers, *lengths, self.disk, 0, self.attributes, where
        )
        return records.CENTRAL_SIGNATURE + header + self.name + self.extra + comment


class Directory(NamedTuple):
    """What the end of an archive says of its central directory."""

    members: int
    size: int
    offset: int


def end(directory: Directory, comment: bytes = b"", disk: int = 0) -> bytes:
    members, size, offset = directory
    numbers = (disk, disk, members, members, size, offset, len(comment))
    return records.END_SIGNATURE + records.END.pack(*numbers) + comment


def end64(directory: Directory, at: int, more: bytes = b"", disks: int = 1) -> bytes:
    """The records that stand before the end of a large archive, and say that they begin `at`."""
    members, size, offset = directory
    numbers = (44 + len(more), 45, 45, 0, 0, members, members, size, offset)
    record = records.END64_SIGNATURE + records.END64.pack(*numbers) + more
    return record + records.LOCATOR_SIGNATURE + records.LOCATOR.pack(0, at, disks)


def zipped(parts: Iterable[Part], listed: Iterable[Part] | None = None) -> bytes:
    """An archive of the parts, whose directory lists them, or others."""
    body, offsets = b"", []
    parts = list(parts)
    for part in parts:
        offsets.append(len(body))
        body += part.local
    others = parts if listed is None else list(listed)
    central = b"".join(
        (part.listed or part).central(offset)
        for part, offset in zip(others, [*offsets, *[0] * len(others)], strict=False)
    )
    return body + central + end(Directory(len(others), len(central), len(body)))
