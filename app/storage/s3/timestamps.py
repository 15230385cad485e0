"""Times in the answers of S3: HTTP dates in headers, ISO 8601 in bodies."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

from botocore.utils import parse_timestamp


def timestamp(text: str | float) -> datetime:
    """As botocore reads it, which tries every way to write a time and so takes twenty times as long.

    Services that credentials come from may give seconds.
    """
    if not isinstance(text, str):
        return _read_by_botocore(text)
    try:
        found = datetime.fromisoformat(text) if text[:1].isdigit() else parsedate_to_datetime(text)
        if found.tzinfo is not None:
            return found
    except (ArithmeticError, ValueError):
        pass
    return _read_by_botocore(text)


def _read_by_botocore(text: str | float) -> datetime:
    found: datetime = parse_timestamp(text)  # type: ignore[arg-type]  # it takes numbers, too
    return found
