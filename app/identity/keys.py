"""The public keys of an issuer: from a file, or fetched from its URL and kept for a while."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from app.errors import IdentityUnavailable

logger = logging.getLogger(__name__)

LIFESPAN_SECONDS = 300.0
"""For so long fetched keys are used without asking again."""
COOLDOWN_SECONDS = 15.0
"""So long passes between two requests to the issuer, whatever keys the callers name."""
STALE_SECONDS = 3600.0
"""For so long the last keys are used while the issuer cannot be reached."""
_TIMEOUT_SECONDS = 5.0
_REFRESH_SECONDS = 1.0


class SigningKey(NamedTuple):
    key_id: str | None
    algorithm: str | None
    """The only one that the issuer uses it for; None where it does not say."""
    key: Any
    """As the library wants it."""


class Keys(Protocol):
    async def candidates(self, key_id: str | None) -> list[SigningKey]:
        """The keys that a token may be signed with, which names `key_id`, or none.

        Raises `IdentityUnavailable` while keys cannot be had.
        """
        ...


class FixedKeys:
    """The keys of a file: a JSON Web Key Set, or one public key in PEM."""

    def __init__(self, file: Path) -> None:
        """Raises `ValueError` for a file that is neither, and `OSError`."""
        text = file.read_text("utf-8")
        self._is_pem = "-----BEGIN" in text
        self._keys = [_from_pem(text)] if self._is_pem else _signing_keys(json.loads(text))
        if not self._keys:
            raise ValueError("it holds no public key for signatures")

    async def candidates(self, key_id: str | None) -> list[SigningKey]:
        return _matching(self._keys, None if self._is_pem else key_id)


class FetchedKeys:
    """The keys behind a URL. They are fetched in a thread, once for all who wait."""

    def __init__(self, find_url: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """`find_url` gives the URL, may ask the network for it, and raises `jwt.PyJWKClientError`."""
        self._find_url = find_url
        self._clock = clock
        self._keys: list[SigningKey] = []
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._expired = 0

    async def candidates(self, key_id: str | None) -> list[SigningKey]:
        found = _matching(self._keys, key_id)
        if not found or self._is_older(self._fetched, LIFESPAN_SECONDS + STALE_SECONDS):
            await self._refresh()
            found = _matching(self._keys, key_id)
        elif self._is_older(self._fetched, LIFESPAN_SECONDS):
            # Nobody waits long for an issuer whose keys are known.
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._refresh()
            found = _matching(self._keys, key_id)
        if self._is_older(self._fetched, LIFESPAN_SECONDS + STALE_SECONDS):
            raise IdentityUnavailable("The keys of the token's issuer cannot be had now; try again later.")
        return found

    def expire(self) -> None:
        """Has the keys fetched again for the next caller, who gets the old ones only if that fails."""
        self._expired += 1
        if self._fetched is not None:
            self._fetched = min(self._fetched, self._clock() - LIFESPAN_SECONDS)
        self._tried = None

    def _is_older(self, moment: float | None, seconds: float) -> bool:
        return moment is None or self._clock() - moment >= seconds

    async def _refresh(self) -> None:
        self._begin_refresh()
        if self._fetching is not None:
            # A caller who goes away does not take the keys from the others.
            await asyncio.shield(self._fetching)

    def _begin_refresh(self) -> None:
        if self._fetching is None and self._is_older(self._tried, COOLDOWN_SECONDS):
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        keys = expired = None
        try:
            while expired != self._expired:  # an answer from before may have what was withdrawn since
                expired = self._expired
                keys = await asyncio.to_thread(self._get)
        finally:
            self._tried = self._clock()
            self._fetching = None
        if keys is not None:
            self._keys = keys
            self._fetched = self._clock()

    def _get(self) -> list[SigningKey] | None:
        """What the issuer publishes now; None if that cannot be had."""
        try:
            keys = _signing_keys(fetch_json(self._find_url()))
            if not keys:
                raise ValueError("it has no keys for signatures")
        except (jwt.PyJWTError, ValueError, OSError, RecursionError) as error:
            logger.error("Could not fetch the keys of an issuer: %s", error)
            return None
        return keys


def fetch_json(url: str) -> Any:
    """The JSON object behind a URL. Follows no redirect; raises `jwt.PyJWKClientError`."""
    client = jwt.PyJWKClient(
        url, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS, headers={"Accept": "application/json"}
    )
    return client.fetch_data()


def _signing_keys(key_set: Any) -> list[SigningKey]:
    """Those of a JSON Web Key Set that are for signatures and of a kind that is known; never secret ones."""
    if not isinstance(key_set, dict) or not isinstance(key_set.get("keys"), list):
        raise ValueError("it is no JSON Web Key Set, which is an object with a list of `keys`")
    keys = []
    for data in key_set["keys"]:
        if isinstance(data, dict) and data.get("use", "sig") == "sig" and data.get("kty") != "oct":
            try:
                keys.append(SigningKey(data.get("kid"), data.get("alg"), jwt.PyJWK(data).key))
            except (jwt.PyJWTError, TypeError) as error:  # the latter for an `alg` that is no text
                logger.warning("Left out a key of an issuer: %s", type(error).__name__)
    return keys


def _from_pem(text: str) -> SigningKey:
    key = load_pem_public_key(text.encode())
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey):
        raise ValueError("it holds a key of a kind that signs no tokens")
    return SigningKey(None, None, key)


def _matching(keys: list[SigningKey], key_id: str | None) -> list[SigningKey]:
    """All keys where the token names none: some issuers have only one, without a name."""
    return [key for key in keys if key_id is None or key.key_id == key_id]
