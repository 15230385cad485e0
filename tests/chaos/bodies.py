"""Bodies of artifacts that tell by themselves whether they are whole, and whose."""

from __future__ import annotations

import random
import struct
from functools import lru_cache

_HEAD = struct.Struct("<8sQQ")
_MAGIC = b"a-body\r\n"
SMALLEST = _HEAD.size


class Torn(Exception):
    """Bytes that are no whole body, and no piece of the one that they should be of."""


@lru_cache(maxsize=64)
def body(number: int, size: int) -> bytes:
    """The only body of that number: it has number and size in its head, and bytes like no other."""
    filler = random.Random(number).randbytes(size - SMALLEST)  # noqa: S311 - no secret
    return _HEAD.pack(_MAGIC, number, size) + filler


def number_of(data: bytes) -> int:
    """Which body this is. Raises `Torn` for anything but all of its bytes."""
    if len(data) < SMALLEST:
        raise Torn(f"only {len(data)} bytes")
    magic, number, size = _HEAD.unpack_from(data)
    if magic != _MAGIC:
        raise Torn(f"it begins with {data[:8]!r}")
    if size != len(data):
        raise Torn(f"{len(data)} bytes of the {size} of number {number}")
    if data != body(number, size):
        raise Torn(f"the size and the head of number {number}, and other bytes")
    return int(number)


def require_piece(data: bytes, start: int, number: int, size: int) -> None:
    """Raises `Torn` unless these are the bytes from `start` on of the body of that number."""
    if data != body(number, size)[start : start + len(data)]:
        raise Torn(f"other bytes from {start} on than those of number {number}")
