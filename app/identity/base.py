"""The small types that all kinds of identity share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import NotPermitted, Unauthenticated
from app.identity.permissions import EVERYTHING, Permissions


class Identity(NamedTuple):
    """Who is asking."""

    kind: str
    """How they are known: the name of the source in the access file, such as `token`."""
    name: str
    permissions: Permissions

    @property
    def key(self) -> tuple[str, str]:
        """What tells one identity from all others."""
        return self.kind, self.name


ANYBODY = Identity("anybody", "", EVERYTHING)
"""Everybody, where nobody is asked who they are."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings along to say whose it is."""

    peer: str
    """The address at the other end of the connection, whatever proxies say."""
    secret: str | None
    """The token, from Bearer or from the password of Basic."""
    headers: Mapping[str, str | None]
    """Headers of trusted proxies, by lower-case name; None for one that is there more than once."""
    fault: Unauthenticated | NotPermitted | None = None
    """Why the secret cannot be told or is not taken, where there is something in its place."""
