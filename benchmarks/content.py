"""What artifacts consist of, so that all that arrives can be checked at the cost of comparing memory.

An artifact is one block over and over, begun at another offset for each artifact. The length of the
block is a prime: whatever the size of the pieces in which a server reads and sends, one in the place of
another is noticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Protocol

BLOCK_BYTES = 262_147
_STEP = 4099  # a prime as well: blocks of different artifacts differ everywhere


class WrongTransfer(Exception):
    """A server did not do what it should."""


class Stored(Protocol):
    """What is kept of an artifact, as it is read behind the servers' backs."""

    def readinto(self, buffer: bytearray, /) -> int: ...
    def read(self, count: int, /) -> bytes: ...


@cache
def block(content: int) -> bytes:
    """The first bytes of the artifact that has this number: one number, one content."""
    block = hashlib.shake_256(b"artifact-proxy").digest(BLOCK_BYTES)
    offset = content * _STEP % BLOCK_BYTES
    return block[offset:] + block[:offset]


def pieces(size: int, content: int) -> Iterator[bytes]:
    """An artifact of `size` bytes, a block at a time."""
    for position in range(0, size, BLOCK_BYTES):
        yield block(content)[: size - position]


def span(content: int, first: int, length: int) -> bytes:
    """The bytes of an artifact from `first` on."""
    begin = first % BLOCK_BYTES
    return _blocks(content, length // BLOCK_BYTES + 2)[begin : begin + length]


def compare(buffer: bytearray, count: int, size: int, position: int, content: int) -> None:
    """Raises `WrongTransfer` unless the first `count` bytes are those of the block at `position`."""
    expected = min(BLOCK_BYTES, size - position)
    if count != expected:
        raise WrongTransfer(f"the bytes ended at {position + count} of {size}")
    same = buffer == block(content) if count == BLOCK_BYTES else buffer[:count] == block(content)[:count]
    if not same:
        raise WrongTransfer(f"other bytes arrived than were sent, after {position} of {size}")


def verify(stored: Stored, size: int, content: int) -> None:
    """Raises `WrongTransfer` unless it has the bytes that were uploaded."""
    buffer = bytearray(BLOCK_BYTES)
    for position in range(0, size, BLOCK_BYTES):
        compare(buffer, stored.readinto(buffer), size, position, content)
    if stored.read(1):
        raise WrongTransfer(f"it is longer than {size} bytes")


@cache
def _blocks(content: int, count: int) -> bytes:
    return block(content) * count
