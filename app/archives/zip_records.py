"""The records that zip archives are made of (PKWARE's APPNOTE.TXT 6.3, section 4.3)."""

from __future__ import annotations

import struct
import zlib
from struct import Struct
from typing import NamedTuple

from app.archives.push import quoted
from app.errors import InvalidArchive

LOCAL_SIGNATURE = b"PK\x03\x04"
DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
CENTRAL_SIGNATURE = b"PK\x01\x02"
END64_SIGNATURE = b"PK\x06\x06"
LOCATOR_SIGNATURE = b"PK\x06\x07"
END_SIGNATURE = b"PK\x05\x06"

# All without their signatures.
LOCAL = Struct("<HHHHHLLLHH")
"""Version needed, flags, method, time, date, CRC-32, packed size, size, lengths of name and extra fields."""
CENTRAL = Struct("<HHHHHHLLLHHHHHLL")
"""Version made by, then as `LOCAL`; length of comment, disk, attributes twice, offset of the local header."""
DESCRIPTOR = Struct("<LLL")
DESCRIPTOR64 = Struct("<LQQ")
"""CRC-32, packed size, size."""
END = Struct("<HHHHLLH")
"""This disk, that of the directory, members here and in all, size and offset of it, the comment's length."""
END64 = Struct("<QHHLLQQQQ")
"""Size of what follows here, versions, then as `END` without the last."""
LOCATOR = Struct("<LQL")
"""Disk and offset of the `END64` record, number of disks."""

IN_16 = 0xFFFF
IN_32 = 0xFFFFFFFF
"""What says that the number stands in a field for large ones, which is the case from here on."""

ZIP64_EXTRA = 0x0001
TIMES_EXTRA = 0x5455
"""Info-ZIP's extended timestamp: the modification time to the second, in UTC."""
UNICODE_PATH_EXTRA = 0x7075

ENCRYPTED = 1 << 0
SIZES_FOLLOW = 1 << 3
"""CRC and sizes stand in a data descriptor after the member."""
PATCHED = 1 << 5
STRONGLY_ENCRYPTED = 1 << 6
UTF_8 = 1 << 11
MASKED = 1 << 13

STORED = 0
DEFLATED = 8
_OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "zstd", 95: "xz", 98: "PPMd", 99: "AES"}


class Header(NamedTuple):
    """What a local header and the central directory both say of a member."""

    name: str
    method: int
    flags: int
    crc: int
    packed: int
    """Bytes in the archive; here and in `size` 0 where the data descriptor is to tell it."""
    size: int


def header(
    flags: int, method: int, crc: int, packed: int, size: int, name: bytes, extra: dict[int, bytes]
) -> Header:
    """Raises `InvalidArchive` for what cannot be read; `packed` and `size` are already the large ones."""
    text = _name(name, flags, extra)
    if flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED):
        raise InvalidArchive(
            f"The member {quoted(text)} of the zip archive is encrypted; send it in the clear."
        )
    if flags & PATCHED:
        raise InvalidArchive(f"The member {quoted(text)} of the zip archive is a patch; send whole files.")
    if method not in (STORED, DEFLATED):
        called = f"{method} ({_OTHER_METHODS[method]})" if method in _OTHER_METHODS else method
        raise InvalidArchive(
            f"The member {quoted(text)} of the zip archive is compressed by method {called}; "
            "use Deflate, or no compression."
        )
    return Header(text, method, flags, crc, packed, size)


def extra_fields(data: bytes) -> dict[int, bytes]:
    """The extra fields of a header by their kind. Raises `InvalidArchive`."""
    found: dict[int, bytes] = {}
    at = 0
    # Fewer than four bytes at the end are how some writers align what follows.
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        at += 4 + length
        if at > len(data) or (kind in found and kind in (ZIP64_EXTRA, UNICODE_PATH_EXTRA)):
            raise InvalidArchive("The zip archive is damaged: a header has malformed extra fields.")
        found[kind] = data[at - length : at]
    return found


def large(numbers: tuple[int, ...], extra: dict[int, bytes]) -> tuple[int, ...]:
    """The numbers, with those that did not fit into 32 bits taken from the field for large ones."""
    field = extra.get(ZIP64_EXTRA)
    if field is None:
        return numbers
    lacking = numbers.count(IN_32)
    if len(field) < 8 * lacking:
        raise InvalidArchive("The zip archive is damaged: a header lacks a size or an offset.")
    wide = iter(struct.unpack_from(f"<{lacking}Q", field))
    return tuple(next(wide) if number == IN_32 else number for number in numbers)


def _name(raw: bytes, flags: int, extra: dict[int, bytes]) -> str:
    unicode_path = extra.get(UNICODE_PATH_EXTRA, b"")
    # It is for the name that it was made from, which another program may have changed since.
    if not flags & UTF_8 and unicode_path[:5] == b"\x01" + zlib.crc32(raw).to_bytes(4, "little"):
        raw, flags = unicode_path[5:], flags | UTF_8
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & UTF_8:
            raise InvalidArchive(f"The name {raw[:120]!a} in the zip archive is not valid UTF-8.") from None
    # Only now, as Info-ZIP on Linux does not mark all that is UTF-8, and text in this one hardly ever is.
    return raw.decode("cp437")
