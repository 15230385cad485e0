"""What a client learns of artifacts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

from artifact_proxy.headers import date

_LENGTH = re.compile("[0-9]{1,18}")


class Entry(NamedTuple):
    """What is known of one artifact or directory."""

    path: str
    """Below the artifact root."""
    is_dir: bool = False
    size: int | None = None
    """Bytes; None for a directory."""
    modified: datetime | None = None
    """With its zone; None for a directory, and in the answer to an upload."""
    etag: str | None = None
    """With its quotes, as in the header; None for a directory."""

    @property
    def name(self) -> str:
        """The last segment of the path."""
        return self.path.rpartition("/")[2]

    def as_json(self) -> dict[str, Any]:
        """The same as the server's listings have it."""
        modified = None if self.modified is None else self.modified.isoformat().replace("+00:00", "Z")
        return {**self._asdict(), "modified": modified}


def listed(told: Any) -> Entry:
    """An entry of a server's listing.

    Raises `ValueError`, `TypeError`, `KeyError` or `OverflowError` for what is none.
    """
    path, is_dir, size, modified = told["path"], told["is_dir"], told["size"], told["modified"]
    if not (isinstance(path, str) and isinstance(is_dir, bool) and isinstance(size, int | None)):
        raise TypeError("the fields have other types")
    moment = modified and datetime.fromisoformat(modified).astimezone(UTC)
    return Entry(path, is_dir, size, moment, told["etag"])


def examined(path: str, headers: Any) -> Entry:
    """The entry that the headers of an answer tell of."""
    length = headers.get("Content-Length", "")
    return Entry(
        path,
        size=int(length) if _LENGTH.fullmatch(length) else None,
        modified=date(headers.get("Last-Modified")),
        etag=headers.get("ETag"),
    )
