"""Content of artifacts that nobody should keep in memory."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator

MEGABYTE = 1024 * 1024


def megabytes(count: int) -> Iterator[bytes]:
    """Pieces of a megabyte, no two of them equal; the same each time."""
    block = random.Random(count).randbytes(MEGABYTE - 8)  # noqa: S311 - no secret
    for number in range(count):
        yield number.to_bytes(8) + block


def sha256(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
