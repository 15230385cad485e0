"""What the answers of S3 say of an object, as an `Entry`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.paths import ArtifactPath
from app.storage.entry import Entry


def object_entry(path: ArtifactPath, answer: Mapping[str, Any], size: int) -> Entry:
    """From HeadObject or GetObject, of an object of `size` bytes."""
    return Entry(path, size=size, modified=answer.get("LastModified"), etag=etag(answer))


def listed_entry(path: ArtifactPath, found: Mapping[str, Any]) -> Entry:
    """From one of the Contents of ListObjectsV2."""
    return Entry(path, size=found["Size"], modified=found.get("LastModified"), etag=etag(found))


def etag(answer: Mapping[str, Any]) -> str | None:
    quoted = answer.get("ETag")
    return None if quoted is None else str(quoted).removeprefix("W/").strip('"')
