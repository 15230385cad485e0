"""JSON Web Tokens of OpenID providers (RFC 7519; RFC 8725 for what not to believe)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from app.errors import Unauthenticated
from app.identity.base import Identity
from app.identity.keys import Keys, SigningKey
from app.identity.rules import Claims, Rule, permissions_for

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Those with a public key. One with a shared secret would let the key be taken for the secret."""
LEEWAY_SECONDS = 30
"""Clocks differ."""
MAX_CANDIDATES = 8
"""A token that names no key is tried with so many of them."""


@dataclass(frozen=True, slots=True)
class Issuer:
    kind: str
    """What the access file calls it, and so the identities that it vouches for."""
    issuer: str
    audience: tuple[str, ...]
    algorithms: tuple[str, ...]
    name_claim: str
    keys: Keys
    rules: tuple[Rule, ...]

    async def identify(self, token: str, key_id: str | None, algorithm: str) -> Identity:
        """Whose token it is, once the signature and all claims hold. Raises `Unauthenticated`."""
        if algorithm not in self.algorithms:
            raise Unauthenticated(
                f"The token is signed with {algorithm[:20]!a}, which is not accepted for its issuer."
            )
        for key in (await self.keys.candidates(key_id))[:MAX_CANDIDATES]:
            try:
                values = self._verified(token, key, algorithm)
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError, TypeError):
                # The last is what the library raises for a key of another kind.
                continue
            except jwt.PyJWTError as error:
                raise Unauthenticated(f"The token is not valid: {_reason(error)}.") from None
            claims = Claims(values)
            names = claims(self.name_claim)
            if len(names) != 1 or not names[0]:
                raise Unauthenticated(f"The token does not tell one name in its claim {self.name_claim!r}.")
            return Identity(self.kind, names[0], permissions_for(self.rules, names[0], claims))
        raise Unauthenticated("The token is not signed with a key of its issuer.")

    def _verified(self, token: str, key: SigningKey, algorithm: str) -> dict[str, Any]:
        if key.algorithm not in {None, algorithm}:
            raise jwt.InvalidKeyError(algorithm)
        values: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            issuer=self.issuer,
            audience=self.audience,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
        )
        return values


class Issuers:
    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}

    async def identify(self, secret: str) -> Identity | None:
        """Whose token it is; None if it is no JSON Web Token at all. Raises `Unauthenticated`."""
        if secret.count(".") != 2 or not self._issuers:
            return None
        try:
            unverified = jwt.decode_complete(secret, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        issuer = unverified["payload"].get("iss")
        known = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if known is None:
            raise Unauthenticated("The token is of an issuer that is not accepted here.")
        key_id = unverified["header"].get("kid")
        algorithm = unverified["header"].get("alg")
        if not isinstance(algorithm, str) or not isinstance(key_id, str | None):
            raise Unauthenticated("The token's header makes no sense.")
        return await known.identify(secret, key_id, algorithm)


def _reason(error: jwt.PyJWTError) -> str:
    """Our own words: the library's may hold what the token says."""
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason
    return "it is malformed"


_REASONS = {
    jwt.ExpiredSignatureError: "it has expired; log in again",
    jwt.InvalidAudienceError: "it is meant for another audience",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.ImmatureSignatureError: "it does not hold yet",
    jwt.MissingRequiredClaimError: "it lacks one of the claims exp, iss and aud",
}
