"""A small OpenID provider on the loopback, and the keys that sign its tokens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.loopback import listening

AUDIENCE = "artifact-proxy"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/keys"
HOUR = 3600


@dataclass(frozen=True)
class Key:
    """A pair of keys that signs with one algorithm."""

    key_id: str | None
    algorithm: str
    private: Any

    def jwk(self, **others: Any) -> dict[str, Any]:
        """The public key as issuers publish it; None among `others` leaves a member out."""
        library = jwt.get_algorithm_by_name(self.algorithm)
        data = {
            **library.to_jwk(self.private.public_key(), as_dict=True),
            "alg": self.algorithm,
            "use": "sig",
        }
        data.pop("key_ops", None)
        data |= {"kid": self.key_id} | others
        return {name: value for name, value in data.items() if value is not None}

    def pem(self) -> str:
        public = self.private.public_key()
        text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return text.decode()

    def sign(self, claims: Mapping[str, Any], **headers: Any) -> str:
        """A token; `headers` are added, and None leaves out the key's id."""
        given = {"kid": self.key_id} | headers
        present = {name: value for name, value in given.items() if value is not None}
        return jwt.encode(dict(claims), self.private, self.algorithm, present)


@cache
def rsa_key(key_id: str | None = "first", algorithm: str = "RS256") -> Key:
    """The same for the same id, as making one takes a while."""
    return Key(key_id, algorithm, rsa.generate_private_key(65537, 2048))


@cache
def ec_key(key_id: str | None = "elliptic", algorithm: str = "ES256") -> Key:
    curves = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return Key(key_id, algorithm, ec.generate_private_key(curves[algorithm]))


@cache
def ed_key(key_id: str | None = "edwards") -> Key:
    return Key(key_id, "EdDSA", ed25519.Ed25519PrivateKey.generate())


def claims(issuer: str, **others: Any) -> dict[str, Any]:
    """What a good token of the issuer says; None among `others` leaves a claim out."""
    now = int(time.time())
    said = {"iss": issuer, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + HOUR} | others
    return {name: value for name, value in said.items() if value is not None}


@dataclass
class Provider:
    url: str
    """Also its name as an issuer."""
    keys: Sequence[Mapping[str, Any]] = ()
    """What it publishes."""
    key: Key = field(default_factory=rsa_key)
    """What it signs with unless told otherwise."""
    asked: list[str] = field(default_factory=list)
    """The path of every request."""
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """What it says to requests for a path instead of what it would say."""
    location: str = ""
    """Where its redirects go."""
    goes_on: threading.Event = field(default_factory=threading.Event)
    """While it is not set, the provider answers nothing."""

    def token(self, key: Key | None = None, **others: Any) -> str:
        return (key or self.key).sign(claims(self.url, **others))

    def fail(self, status: int = 500) -> None:
        """From now on it answers nothing else, until `answers` is cleared."""
        self.answers |= {JWKS: (status, b"broken"), DISCOVERY: (status, b"broken")}

    def answer(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        self.goes_on.wait(HOUR)
        if path in self.answers:
            return self.answers[path]
        documents: dict[str, object] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + JWKS},
            JWKS: {"keys": self.keys},
        }
        return (200, json.dumps(documents[path]).encode()) if path in documents else (404, b"")


@contextmanager
def providing(*keys: Key) -> Iterator[Provider]:
    """A provider on a free port, which publishes these keys and signs with the first."""
    provider = Provider("", [key.jwk() for key in keys], keys[0])
    provider.goes_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = provider.answer(self.path)
            self.send_response_only(status)
            if status // 100 == 3:
                self.send_header("Location", provider.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Handler) as provider.url:
        try:
            yield provider
        finally:
            provider.goes_on.set()
