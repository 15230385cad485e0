"""ArtifactPath: where an artifact lies below the artifact root. Parsed once, safe ever after.

Every path of a URL, a query or a body passes through here before anything else sees it. The text
is decoded once and kept to the byte: `a%2520b` is the artifact `a%20b`, and `a%20b` is `a b`.
It is *judged* more widely than it is read, because whoever stands behind us may decode again or
take a backslash for a slash: a path is refused if any such reading of it would leave its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self
from urllib.parse import quote, unquote_to_bytes

from app.errors import InvalidPath

MAX_SEGMENT_BYTES = 255
"""NAME_MAX of the file systems that an artifact may have to be copied to."""
MAX_PATH_BYTES = 1024
"""The longest key of S3."""
MAX_SEGMENTS = 64

RESERVED_PREFIX = ".artifact-proxy"
"""Names that begin so are the server's own (staging, locks), at any depth: roots may be nested."""

_PLAIN_SEGMENT = "[0-9A-Za-z_][0-9A-Za-z_.,+= -]*+"
_PLAIN_NAME = re.compile(_PLAIN_SEGMENT)
_PLAIN = re.compile(f"{_PLAIN_SEGMENT}(?:/{_PLAIN_SEGMENT})*+")
"""Most paths, of which there is one reading only, and nothing in that to doubt."""
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SLASH = re.compile("/")
_SEPARATOR = re.compile(r"[/\\]")
_SCHEME_OR_DRIVE = re.compile(r"file:.*|[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ArtifactPath:
    """A path below the artifact root as its segments; no segments stand for the root itself.

    Made only by `parse`, `parse_directory`, the `from_url` forms, `/` and `parents`, so whoever holds one
    may join its segments without looking at them again.
    """

    segments: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The path of one artifact, from text that is already decoded.

        Raises `InvalidPath` for an empty path, a trailing slash and everything unsafe.
        """
        if not text:
            raise InvalidPath("The artifact path is empty; name an artifact below the root.")
        if text.endswith("/"):
            raise _refusal(text, "it ends with a slash, so it names a directory")
        return cls(_judge(text))

    @classmethod
    def parse_directory(cls, text: str) -> Self:
        """The path of a directory: as `parse`, but "" is the root and one final slash is ignored."""
        return cls.parse(text.removesuffix("/")) if text else cls()

    @classmethod
    def from_url(cls, raw: str) -> Self:
        """`parse` for a path as it stands in a request target, still percent-encoded."""
        return cls.parse(percent_decode(raw))

    @classmethod
    def directory_from_url(cls, raw: str) -> Self:
        """`parse_directory` for a path as it stands in a request target."""
        return cls.parse_directory(percent_decode(raw))

    @property
    def is_root(self) -> bool:
        return not self.segments

    @property
    def name(self) -> str:
        """The last segment; "" for the root."""
        return self.segments[-1] if self.segments else ""

    @property
    def parents(self) -> list[ArtifactPath]:
        """The directories that it lies in, outermost first, without the root."""
        return [ArtifactPath(self.segments[:depth]) for depth in range(1, len(self.segments))]

    @property
    def readings(self) -> tuple[tuple[str, ...], ...]:
        """The path's segments, and those that it has to whoever decodes it again or splits at backslashes.

        So permissions hold as well for storage that takes `a\\b` for `a/b`.
        """
        text = str(self)
        if "%" not in text and "\\" not in text:
            return (self.segments,)
        others = (
            tuple(split.split(reading)) for reading in _decodings(text) for split in (_SLASH, _SEPARATOR)
        )
        return tuple(dict.fromkeys((self.segments, *others)))

    @property
    def url(self) -> str:
        """The path percent-encoded for a URL, the inverse of `from_url`."""
        return quote(str(self))

    def __str__(self) -> str:
        return "/".join(self.segments)

    def __truediv__(self, name: str) -> ArtifactPath:
        """The child of this directory called `name`, judged like any path from outside."""
        if "/" in name:
            raise _refusal(name, "a single name has no slash")
        return ArtifactPath.parse(f"{self}/{name}" if self.segments else name)

    def children(self) -> Callable[[str], ArtifactPath]:
        """`/` for many names: what is the same for all of them is looked at once."""
        deep = len(self.segments) >= MAX_SEGMENTS
        longest = 0 if deep else min(MAX_SEGMENT_BYTES, MAX_PATH_BYTES - len(f"{self}/".encode()))

        def child(name: str) -> ArtifactPath:
            if len(name) <= longest and _PLAIN_NAME.fullmatch(name):
                return ArtifactPath((*self.segments, name))
            return self / name

        return child


def percent_decode(raw: str) -> str:
    """Decodes percent-encoding exactly once, strictly, as UTF-8 (RFC 3986, section 2.1).

    Raises `InvalidPath` for a broken escape, for characters that must have been encoded, and for
    bytes that are not UTF-8: a lenient decoder would give different bytes the same name.
    """
    if not raw.isascii():
        raise _refusal(raw, "characters beyond ASCII must be percent-encoded")
    if _BROKEN_ESCAPE.search(raw):
        raise _refusal(raw, "a '%' is not followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _refusal(raw, "its escapes are not valid UTF-8") from None


def _judge(text: str) -> tuple[str, ...]:
    """The segments of `text`, if it is a safe path under every reading of it."""
    plain = _PLAIN.fullmatch(text)
    if not plain:
        _judge_reading(text, text)
    segments = tuple(text.split("/"))
    size = len(text.encode())
    if size > MAX_PATH_BYTES:
        raise _refusal(text, f"it is longer than {MAX_PATH_BYTES} bytes")
    if len(segments) > MAX_SEGMENTS:
        raise _refusal(text, f"it has more than {MAX_SEGMENTS} segments")
    if size > MAX_SEGMENT_BYTES and any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise _refusal(text, f"a segment is longer than {MAX_SEGMENT_BYTES} bytes")
    if not plain:
        _judge_further_readings(text)
    return segments


def _judge_further_readings(text: str) -> None:
    try:
        for reading in islice(_decodings(text), 1, None):
            _judge_reading(reading, text)
    except UnicodeDecodeError:
        raise _refusal(text, "decoded once more, it is not valid UTF-8") from None


def _decodings(text: str) -> Iterator[str]:
    """The text, and what comes of decoding it again and again. Raises `UnicodeDecodeError`."""
    yield text
    while "%" in text:
        further = unquote_to_bytes(text).decode()
        if further == text:
            return
        yield further
        text = further


def _judge_reading(reading: str, text: str) -> None:
    """Refuses `text` if `reading`, one way to understand it, is unsafe."""
    try:
        reading.encode()
    except UnicodeEncodeError:
        raise _refusal(text, "it has a lone surrogate, which is not valid Unicode") from None
    if _CONTROL.search(reading):
        raise _refusal(text, "it has a control character")
    parts = _SEPARATOR.split(reading)
    if "" in parts:
        raise _refusal(text, "it has an empty segment, or a slash at its start or end")
    # Some servers cut path parameters off, so "..;x" is read as "..".
    if any(part.partition(";")[0] in {".", ".."} for part in parts):
        raise _refusal(text, "'.' and '..' are not allowed as segments")
    if _SCHEME_OR_DRIVE.fullmatch(parts[0]):
        raise _refusal(text, "it starts with a URL scheme or a drive letter")
    if any(part.casefold().startswith(RESERVED_PREFIX) for part in parts):
        raise _refusal(text, f"names that start with {RESERVED_PREFIX!r} belong to the server")


def _refusal(text: str, reason: str) -> InvalidPath:
    shown = text if len(text) <= 120 else f"{text[:120]}…"
    return InvalidPath(f"Invalid artifact path {shown!a}: {reason}.")
