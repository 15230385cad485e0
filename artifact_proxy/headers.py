"""The headers of answers that say more than their text."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from artifact_proxy.errors import ArtifactError

_SHA_256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")
_SHA_256_BYTES = 32


def answered_sha256(headers: Mapping[str, str]) -> bytes | None:
    """That of `Repr-Digest` (RFC 9530), if it is there. Raises `ArtifactError` if it can be none."""
    found = _SHA_256.search(headers.get("Repr-Digest", ""))
    if found is None:
        return None
    try:
        digest = b64decode(found[1], validate=True)
    except ValueError:
        digest = b""
    if len(digest) != _SHA_256_BYTES:
        raise ArtifactError(f"The server tells a sha-256 that is none: {found[1]!r}.")
    return digest


def date(text: str | None) -> datetime | None:
    """Of a header, with its zone; None for what is no date (RFC 9110, section 5.6.7)."""
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def seconds(retry_after: str | None) -> float | None:
    """Of a `Retry-After`, which is a number or a date (RFC 9110, section 10.2.3)."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    moment = date(retry_after)
    return None if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())
