"""What an identity may do: actions below prefixes of artifact paths, allowed or denied."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import product
from math import prod
from typing import Self, TypeAlias

from app.errors import InvalidPath
from app.paths import ArtifactPath

NAME = "name"
"""The placeholder for the caller's own name."""
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_MAX_COMBINATIONS = 1000

Values: TypeAlias = Callable[[str], tuple[str, ...]]
"""Gives the values of a placeholder for one caller; none if the caller has no such claim."""


class Action(Enum):
    READ = "read"
    LIST = "list"
    WRITE = "write"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions on a path and all that is below it, by whole segments; no segments stand for everything."""

    actions: frozenset[Action]
    prefix: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """A grant as it is written, `read,list:models/` or `all:users/{name}/`; raises `ValueError`."""
        words, colon, path = text.partition(":")
        if not colon:
            raise ValueError(
                f"{text!r} has no colon; write actions, a colon and a path, such as 'read,list:models/'"
            )
        try:
            prefix = ArtifactPath.parse_directory(_PLACEHOLDER.sub("x", path.removeprefix("/")))
        except InvalidPath as error:
            raise ValueError(f"{text!r} has a path that no artifact may have: {error}") from None
        segments = tuple(path.strip("/").split("/")) if prefix.segments else ()
        if any(brace in _PLACEHOLDER.sub("", path) for brace in "{}"):
            raise ValueError(f"{text!r} has a brace that belongs to no placeholder; write one as {{name}}")
        return cls(_actions(words, text), segments)

    @property
    def placeholders(self) -> set[str]:
        return {name for segment in self.prefix for name in _PLACEHOLDER.findall(segment)}

    def filled(self, values: Values) -> Iterator[Grant]:
        """The grant for one caller, once for each combination of its placeholders' values.

        A value is never taken for more than its text: one that is empty or has a slash in it is none, and
        so are more than any caller should have.
        """
        names = sorted(self.placeholders)
        usable = [[value for value in values(name) if value and "/" not in value] for name in names]
        if prod(map(len, usable)) > _MAX_COMBINATIONS:
            return
        for chosen in product(*usable):
            value_of = dict(zip(names, chosen, strict=True))
            yield Grant(self.actions, tuple(_filled(part, value_of) for part in self.prefix))

    def before_placeholders(self) -> Grant:
        """The same actions on the directory in which the first placeholder stands."""
        plain = next((i for i, part in enumerate(self.prefix) if _PLACEHOLDER.search(part)), len(self.prefix))
        return Grant(self.actions, self.prefix[:plain])

    def covers(self, action: Action, segments: tuple[str, ...]) -> bool:
        return action in self.actions and segments[: len(self.prefix)] == self.prefix

    def is_below(self, action: Action, segments: tuple[str, ...]) -> bool:
        """Whether it is about a part of what is below `segments`."""
        return (
            action in self.actions
            and len(self.prefix) > len(segments)
            and self.prefix[: len(segments)] == segments
        )


def _filled(segment: str, value_of: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: value_of[found[1]], segment)


def _actions(words: str, text: str) -> frozenset[Action]:
    named = [word.strip() for word in words.split(",")]
    if named == ["all"]:
        return frozenset(Action)
    try:
        return frozenset(map(Action, named))
    except ValueError:
        known = ", ".join(action.value for action in Action)
        raise ValueError(f"{text!r} has an action that is not known; known are {known}, and all") from None


@dataclass(frozen=True, slots=True)
class Permissions:
    """What one caller may do: what some grant allows and none denies.

    Paths are compared under every reading that somebody behind us could have of them, so that `a\\b`
    needs what `a/b` needs, too.
    """

    allow: tuple[Grant, ...] = ()
    deny: tuple[Grant, ...] = ()

    @classmethod
    def filled(cls, allow: tuple[Grant, ...], deny: tuple[Grant, ...], values: Values) -> Permissions:
        """Those of the caller for whom `values` are given.

        Without a value for it, an allowed place is nowhere, and a denied one everywhere it could be.
        """
        return cls(
            tuple(grant for written in allow for grant in written.filled(values)),
            tuple(
                grant
                for written in deny
                for grant in (list(written.filled(values)) or [written.before_placeholders()])
            ),
        )

    def permit(self, action: Action, path: ArtifactPath) -> bool:
        return all(self._permit(action, segments) for segments in path.readings)

    def permit_all_below(self, action: Action, path: ArtifactPath) -> bool:
        """Whether that holds for the path and for everything that can be below it."""
        return self.permit(action, path) and not any(
            grant.is_below(action, segments) for grant in self.deny for segments in path.readings
        )

    def lead_below(self, action: Action, path: ArtifactPath) -> bool:
        """Whether it is permitted somewhere below the path, even if not at the path itself."""
        return any(
            grant.is_below(action, path.segments) and self._permit(action, grant.prefix)
            for grant in self.allow
        )

    def _permit(self, action: Action, segments: tuple[str, ...]) -> bool:
        return any(grant.covers(action, segments) for grant in self.allow) and not any(
            grant.covers(action, segments) for grant in self.deny
        )


EVERYTHING = Permissions(allow=(Grant(frozenset(Action), ()),))
