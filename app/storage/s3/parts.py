"""How large the parts of an upload are.

S3 takes at most 10 000 parts, of 5 MiB to 5 GiB each but for the last, and 5 TiB in all:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

from app.errors import RequestTooLarge

MIB = 1024 * 1024
MAX_PARTS = 10_000
MAX_OBJECT = 5 * 1024 * 1024 * MIB


def part_size(configured: int, total: int | None) -> int:
    """Bytes of each part of an upload of `total` bytes, None if that is not known.

    All parts but the last are alike: some stores want that. Raises `RequestTooLarge` over 5 TiB.
    """
    if total is None:
        return configured
    if total > MAX_OBJECT:
        raise RequestTooLarge(f"The artifact has {total} bytes, and S3 takes at most {MAX_OBJECT}; split it.")
    needed = -(-total // MAX_PARTS)
    return max(configured, -(-needed // MIB) * MIB)
