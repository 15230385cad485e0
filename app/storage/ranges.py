"""Parts of an artifact, as they are asked for and as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from app.errors import ArtifactError
from app.storage.entry import Entry


class RangeNotSatisfiable(ArtifactError):
    """The range holds no byte of the artifact, whose `entry` is carried along."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(
            f"The range lies outside {str(entry.path)!r}, which has {entry.size} bytes; "
            "ask for bytes that it has, or send no Range."
        )
        self.entry = entry


class Span(NamedTuple):
    """The bytes from `start` up to and without `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range as it was asked for, before the size is known (RFC 9110, section 14.1.2).

    `first` to `last` inclusive; without `last`, to the end; without `first`, the last `last` bytes.
    """

    first: int | None
    last: int | None

    def resolve(self, size: int) -> Span | None:
        """The span within `size` bytes, or None if the range holds none of them."""
        if self.first is None:
            length = self.last or 0
            span = Span(max(0, size - length), size)
        else:
            span = Span(self.first, size if self.last is None else min(self.last + 1, size))
        return span if span.start < span.stop else None
