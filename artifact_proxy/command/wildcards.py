"""`*`, `?`, `[...]` and `**` as they were typed: which segments of a path have some, and what those match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Final, TypeAlias
from urllib.parse import unquote

from artifact_proxy.uris import Typed

_WILD = re.compile(r"[*?[]")
_ESCAPES = re.compile(r"(\[[^]]+\])|((?:%[0-9A-Fa-f]{2})+)")
ANY_DEPTH: Final = re.compile("")
"""`**`: any number of segments."""
Segment: TypeAlias = str | re.Pattern[str]
"""A name, or what names match, or `ANY_DEPTH`."""


def parsed(path: Typed) -> list[Segment]:
    """The segments of a path. What is percent-encoded there is no wildcard."""
    segments: list[Segment] = []
    for text in path.path.strip("/").split("/"):
        if text == "**":
            segments.append(ANY_DEPTH)
        elif _WILD.search(text):
            segments.append(re.compile(translate(_decoded(text) if path.is_encoded else text)))
        else:
            segments += (unquote(text) if path.is_encoded else text).strip("/").split("/")
    return segments


def is_wild(segment: Segment) -> bool:
    return not isinstance(segment, str)


def matches(names: Sequence[str], segments: Sequence[Segment]) -> bool:
    """Whether the names, one below the other, are what the segments mean."""
    if not segments:
        return not names
    first, rest = segments[0], segments[1:]
    if first is ANY_DEPTH:
        return not rest or any(matches(names[start:], rest) for start in range(len(names) + 1))
    if not names:
        return False
    is_match = names[0] == first if isinstance(first, str) else first.match(names[0]) is not None
    return is_match and matches(names[1:], rest)


def _decoded(text: str) -> str:
    """The pattern without percent-encoding, in which what was encoded stands for itself."""

    def literal(found: re.Match[str]) -> str:
        if found[1] is not None:
            return unquote(found[1])
        return _WILD.sub(lambda wild: f"[{wild[0]}]", unquote(found[2]))

    return _ESCAPES.sub(literal, text)
