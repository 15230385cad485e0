"""Digests of a request's body: Content-MD5 (RFC 1864), Content-Digest and Repr-Digest (RFC 9530).

And of an artifact, for a client that wants it.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from typing import TYPE_CHECKING, cast

import http_sf
from starlette.datastructures import Headers

from app.errors import DigestMismatch, InvalidRequest

if TYPE_CHECKING:
    from hashlib import _Hash

ALGORITHMS = {"sha-512": "sha512", "sha-256": "sha256"}
"""Those of RFC 9530 that are not insecure, by their name in `hashlib`; the first one is preferred."""


class Digests:
    """What the client announced of its body, to be compared with what arrives.

    Raises `InvalidRequest` for announcements that cannot be read. A digest with an algorithm that
    is not known here is ignored, as RFC 9530 wants it. Content and representation are the same,
    because uploads with a Content-Encoding are refused.
    """

    def __init__(self, headers: Headers) -> None:
        self._expected: list[tuple[str, str, bytes]] = []
        self._hashes: dict[str, _Hash] = {}
        for value in headers.getlist("content-md5"):
            self._expect("Content-MD5", "md5", _base64(value))
        for field in ("Content-Digest", "Repr-Digest"):
            for algorithm, digest in _dictionary(field, headers).items():
                if algorithm in ALGORITHMS:
                    self._expect(field, ALGORITHMS[algorithm], digest)
        self._wanted = wanted_algorithm(headers)
        if self._wanted is not None:
            self._hash(ALGORITHMS[self._wanted])

    def _expect(self, field: str, name: str, value: object) -> None:
        size = self._hash(name).digest_size
        if not isinstance(value, bytes) or len(value) != size:
            raise InvalidRequest(f"{field} has no valid {name} digest; send its {size} bytes in base64.")
        self._expected.append((field, name, value))

    def _hash(self, name: str) -> _Hash:
        if name not in self._hashes:
            self._hashes[name] = hashlib.new(name, usedforsecurity=False)
        return self._hashes[name]

    def update(self, data: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(data)

    def verify(self) -> None:
        """Raises `DigestMismatch` unless the body had every digest that was announced."""
        for field, name, expected in self._expected:
            actual = self._hashes[name].digest()
            if actual != expected:
                raise DigestMismatch(
                    f"The {name} digest of the received body is {actual.hex()}, but {field} announced "
                    f"{expected.hex()}; nothing was stored, send the artifact again."
                )

    def response_headers(self) -> dict[str, str]:
        """The answer to Want-Repr-Digest."""
        if self._wanted is None:
            return {}
        return repr_digest(self._wanted, self._hashes[ALGORITHMS[self._wanted]].digest())


def repr_digest(algorithm: str, digest: bytes) -> dict[str, str]:
    """The header that tells the digest of an artifact; `algorithm` is one of RFC 9530."""
    return {"Repr-Digest": http_sf.ser({algorithm: (digest, {})})}


def _base64(value: str) -> bytes:
    try:
        return b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _dictionary(field: str, headers: Headers) -> dict[str, object]:
    """A header that is a Dictionary of Structured Fields (RFC 9651), without its parameters."""
    values = headers.getlist(field)
    if not values:
        return {}
    try:
        parsed = http_sf.parse(", ".join(values).encode("latin-1"), tltype="dictionary")
    except http_sf.StructuredFieldError as error:
        raise InvalidRequest(f"{field} is not valid: {error}; send it as sha-256=:<base64>:.") from None
    members = cast(dict[str, tuple[object, object]], parsed)
    return {key: value for key, (value, _parameters) in members.items()}


def wanted_algorithm(headers: Headers) -> str | None:
    """The algorithm that Want-Repr-Digest prefers among ours; a malformed wish is no wish."""
    try:
        wishes = _dictionary("Want-Repr-Digest", headers)
    except InvalidRequest:
        return None
    weights = {name: wishes[name] for name in ALGORITHMS if name in wishes}
    numbers = {name: weight for name, weight in weights.items() if type(weight) is int and weight > 0}
    return max(numbers, key=numbers.__getitem__, default=None)
