"""Reads the end of zip archives: the central directory, which must say what the members said themselves."""

from __future__ import annotations

import hashlib
import secrets
import struct
from stat import S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG

from app.archives import zip_records as records
from app.archives.push import Inflow, Waiting, quoted
from app.archives.zip_records import Header
from app.errors import InvalidArchive

MAX_END64_BYTES = 64 * 1024
"""For a record that programs write with 52 bytes."""

_UNIX_LIKE = {3, 19}
"""The systems whose attributes tell what kind of file a member is: Unix and macOS."""
_SUM_BYTES = 16


class Seen:
    """Which members there were, in constant memory: their number, and the sum of their keyed digests.

    The key is a secret, so nobody can make other members with the same sum. Their order does not matter.
    """

    def __init__(self) -> None:
        self.members = 0
        self._sum = 0
        self._key = secrets.token_bytes()

    def add(self, header: Header, offset: int) -> None:
        """`offset`: where the member begins in the archive."""
        self.members += 1
        self._sum += self._digest(header, offset)

    def remove(self, header: Header, offset: int) -> None:
        self.members -= 1
        self._sum -= self._digest(header, offset)

    @property
    def nothing(self) -> bool:
        return self.members == 0 and self._sum % (1 << 8 * _SUM_BYTES) == 0

    def _digest(self, header: Header, offset: int) -> int:
        numbers = struct.pack("<HLQQQ", header.method, header.crc, header.packed, header.size, offset)
        digest = hashlib.blake2b(numbers + header.name.encode(), digest_size=_SUM_BYTES, key=self._key)
        return int.from_bytes(digest.digest())


def read_directory(inflow: Inflow, signature: bytes, seen: Seen) -> Waiting[None]:
    """Reads what follows the members up to the archive's last byte; `signature` was taken already."""
    offset, members = inflow.position - len(signature), seen.members
    while signature == records.CENTRAL_SIGNATURE:
        seen.remove(*(yield from _listed(inflow)))
        if seen.members < 0:
            break
        signature = yield from inflow.take(4)
    if not seen.nothing:
        raise InvalidArchive(
            "The zip archive is damaged: its central directory does not list the members that are in it."
        )
    actual = (0, 0, members, members, inflow.position - len(signature) - offset, offset)
    large = signature == records.END64_SIGNATURE
    if large:
        signature = yield from _end64(inflow, actual)
    if signature != records.END_SIGNATURE:
        raise _damaged(inflow)
    *numbers, comment = records.END.unpack((yield from inflow.take(records.END.size)))
    full = (*[records.IN_16] * 4, *[records.IN_32] * 2)
    for number, right, more in zip(numbers, actual, full, strict=True):
        if number != right and not (large and number == more):
            raise _wrong_end()
    yield from inflow.skip(comment)


def _listed(inflow: Inflow) -> Waiting[tuple[Header, int]]:
    """A member as the directory lists it, and where it begins."""
    fields = records.CENTRAL.unpack((yield from inflow.take(records.CENTRAL.size)))
    made_by, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _, attributes, offset = (
        fields
    )
    raw = yield from inflow.take(name)
    extras = records.extra_fields((yield from inflow.take(extra)))
    yield from inflow.skip(comment)
    size, packed, offset = records.large((size, packed, offset), extras)
    header = records.header(flags, method, crc, packed, size, raw, extras)
    if disk:
        raise _wrong_end()
    _require_file(header.name, attributes >> 16 if made_by >> 8 in _UNIX_LIKE else 0)
    return header, offset


def _require_file(name: str, mode: int) -> None:
    kind = S_IFMT(mode)
    # Info-ZIP marks as a FIFO what it took from its standard input.
    right = {0, S_IFDIR} if name.endswith("/") else {0, S_IFREG, S_IFIFO}
    if kind not in right:
        what = "a symbolic link; archive what it leads to" if kind == S_IFLNK else "no file; leave it out"
        raise InvalidArchive(f"The member {quoted(name)} of the zip archive is {what}.")


def _end64(inflow: Inflow, actual: tuple[int, ...]) -> Waiting[bytes]:
    """Reads the records of large archives; gives the signature that follows."""
    at = inflow.position - 4
    start = yield from inflow.take(records.END64.size)
    length, _, _, *numbers = records.END64.unpack(start)
    rest = length - (records.END64.size - 8)
    if tuple(numbers) != actual or not 0 <= rest <= MAX_END64_BYTES:
        raise _wrong_end()
    yield from inflow.skip(rest)
    if (yield from inflow.take(4)) != records.LOCATOR_SIGNATURE:
        raise _damaged(inflow)
    locator = records.LOCATOR.unpack((yield from inflow.take(records.LOCATOR.size)))
    if locator != (0, at, 1):
        raise _wrong_end()
    return (yield from inflow.take(4))


def _wrong_end() -> InvalidArchive:
    return InvalidArchive(
        "The zip archive is damaged, or one of several parts: its end does not fit to what comes before; "
        "send one whole archive."
    )


def _damaged(inflow: Inflow) -> InvalidArchive:
    return InvalidArchive(
        f"The zip archive is damaged: no record that is known begins before byte {inflow.position}."
    )
