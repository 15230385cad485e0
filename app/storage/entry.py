"""What is known of an artifact, and what a request may demand of that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from app.errors import ArtifactIsDirectory, PreconditionFailed
from app.paths import ArtifactPath

ETags: TypeAlias = frozenset[str] | Literal["*"]
"""Entity tags without their quotes, or "*" for any (RFC 9110, section 13.1.1)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one artifact or directory without reading it.

    A directory has neither size nor modification time nor ETag: it exists by what is in it.
    """

    path: ArtifactPath
    is_dir: bool = False
    size: int | None = None
    """Bytes."""
    modified: datetime | None = None
    """In UTC, with its zone."""
    etag: str | None = None
    """A strong validator without quotes: other bytes have another one."""

    def require_artifact(self) -> None:
        """Raises `ArtifactIsDirectory` unless this is an artifact."""
        if self.is_dir:
            raise ArtifactIsDirectory(
                f"The artifact path {str(self.path)!r} is a directory; list it, or name a file below it."
            )


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a request demands of the artifact that stands at its path (RFC 9110, section 13.1)."""

    match: ETags | None = None
    """If-Match: the artifact exists and its ETag is one of these."""
    none_match: ETags | None = None
    """If-None-Match: there is no artifact with one of these ETags; "*": none at all."""
    unmodified_since: datetime | None = None

    def require(self, path: ArtifactPath, current: Entry | None) -> None:
        """Raises `PreconditionFailed` unless all of it holds for `current`, None if missing."""
        if self.match is not None:
            if current is None:
                raise PreconditionFailed(f"There is no artifact {str(path)!r}, but If-Match demands one.")
            if not matches(self.match, current):
                raise PreconditionFailed(
                    f"The artifact {str(path)!r} has another ETag than If-Match demands; "
                    "read it again and decide anew."
                )
        elif self.unmodified_since is not None and modified_since(current, self.unmodified_since):
            raise PreconditionFailed(
                f"The artifact {str(path)!r} was modified since the time in If-Unmodified-Since."
            )
        if self.none_match is not None and current is not None and matches(self.none_match, current):
            raise PreconditionFailed(
                f"The artifact {str(path)!r} exists, and If-None-Match demands that it does not."
            )


def modified_since(entry: Entry | None, moment: datetime) -> bool:
    """Whether there is an artifact that was modified after `moment`, in HTTP's whole seconds."""
    return entry is not None and entry.modified is not None and entry.modified.replace(microsecond=0) > moment


def matches(etags: ETags, entry: Entry) -> bool:
    return etags == "*" or (entry.etag is not None and entry.etag in etags)


UNCONDITIONAL = Precondition()
