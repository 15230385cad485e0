"""Callers with every kind of credential, good and bad."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from tests.support.access import basic, issuer_stanza, proxy_header_stanza, rule, token_stanza
from tests.support.oidc import AUDIENCE, claims, rsa_key

PERMISSIONS = ("read", "list", "write", "delete")
ISSUER = "https://login.example.com"
PROXY = "127.0.0.2"
"""The address of the `stranger`, from which the header of a proxy is believed."""


class Callers:
    """Whom the servers of this module know, and whom they do not."""

    def __init__(self, directory: Path) -> None:
        keys = directory / "keys.json"
        keys.parent.mkdir(parents=True, exist_ok=True)
        keys.write_text(json.dumps({"keys": [rsa_key().jwk()]}))
        yesterday = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        made = {name: token_stanza(name, f"{name}:") for name in PERMISSIONS}
        made |= {
            "all": token_stanza("everything", "all:"),
            "none": token_stanza("nobody"),
            "expired": token_stanza("expired", "all:", expires=yesterday),
            "unknown": token_stanza("unknown", "all:"),
        }
        self.token = {name: token for name, (token, _) in made.items()}
        self.stanzas = [
            *(stanza for name, (_, stanza) in made.items() if name != "unknown"),
            issuer_stanza("corp", ISSUER, AUDIENCE, rule("all:"), key_file=str(keys)),
            proxy_header_stanza([PROXY], rule("all:"), header="X-Forwarded-User"),
        ]

    @property
    def wrong(self) -> dict[str, list[tuple[str, str]]]:
        """Headers that tell nobody who is known."""
        good = self.token["all"]
        now = int(time.time())
        jwts = {
            "JWT of alg none": jwt.encode(claims(ISSUER), "", "none"),
            "JWT by a shared secret": jwt.encode(claims(ISSUER), "x" * 32, "HS256", {"kid": "first"}),
            "expired JWT": rsa_key().sign(claims(ISSUER, exp=now - 3600)),
            "JWT for others": rsa_key().sign(claims(ISSUER, aud="another")),
            "JWT of an unknown issuer": rsa_key().sign(claims("https://evil.example.com")),
            "JWT by another key": rsa_key("second").sign(claims(ISSUER), kid="first"),
            "JWT that names an unknown key": rsa_key("second").sign(claims(ISSUER)),
        }
        authorizations = {
            "unknown token": f"Bearer {self.token['unknown']}",
            "expired token": f"Bearer {self.token['expired']}",
            "unknown password": basic(self.token["unknown"])["Authorization"],
            "the user name alone": "Basic " + b64encode(f"{good}:".encode()).decode(),
            "bad base64": "Basic ====",
            "Basic without colon": "Basic " + b64encode(good.encode()).decode(),
            "another scheme": f"Digest {good}",
            "no scheme": good,
            "Bearer of nothing": "Bearer",
            "a token and more": f"Bearer {good} x",
            **{name: f"Bearer {token}" for name, token in jwts.items()},
        }
        headers = {name: [("Authorization", value)] for name, value in authorizations.items()}
        return headers | {
            "none": [],
            "two": [("Authorization", f"Bearer {good}")] * 2,
            "a proxy's header from elsewhere": [("X-Forwarded-User", "root")],
            "a cookie": [("Cookie", f"token={good}")],
        }
