"""Static tokens: random, shown once, and kept as their hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.errors import Unauthenticated
from app.identity.base import Identity
from app.identity.permissions import NAME, Grant, Permissions

KIND = "token"
_MARK = "apx_"
"""So that scanners for leaked secrets can find them."""
_TOKEN = re.compile(_MARK + "[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """A random token of 256 bits."""
    return _MARK + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """SHA-256 in hexadecimal digits. A slow hash is for what people think up; nobody guesses 256 bits."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StaticToken:
    name: str
    digest: str
    expires: datetime | None
    allow: tuple[Grant, ...]
    deny: tuple[Grant, ...]

    def identity(self) -> Identity:
        return Identity(KIND, self.name, Permissions.filled(self.allow, self.deny, self._values))

    def _values(self, placeholder: str) -> tuple[str, ...]:
        return (self.name,) if placeholder == NAME else ()


class StaticTokens:
    def __init__(self, tokens: Sequence[StaticToken]) -> None:
        self._known = [(token.digest, token.expires, token.identity()) for token in tokens]

    def identify(self, secret: str) -> Identity | None:
        """Whose token it is; None for nobody's. Raises `Unauthenticated` if it has expired."""
        if not _TOKEN.fullmatch(secret):
            return None
        given = digest_of(secret)
        # Each is compared, and in constant time, so that time tells nothing.
        found = [(end, identity) for known, end, identity in self._known if hmac.compare_digest(known, given)]
        if not found:
            return None
        expires, identity = found[0]
        if expires is not None and expires <= datetime.now(UTC):
            raise Unauthenticated("The token has expired; ask who runs this server for a new one.")
        return identity
