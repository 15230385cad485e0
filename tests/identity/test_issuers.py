"""Tokens of OpenID providers: what is believed, and all that is not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest

from app.errors import Unauthenticated
from app.identity.base import Identity
from app.identity.issuers import ALGORITHMS, Issuer, Issuers
from app.identity.keys import FixedKeys
from app.identity.permissions import Action, Grant
from app.identity.rules import Rule
from app.paths import ArtifactPath
from tests.support.oidc import AUDIENCE, Key, claims, ec_key, ed_key, rsa_key

ISSUER = "https://login.example.com/realms/ml"
RULES = (Rule({"groups": "ml"}, (Grant.parse("read:teams/{team}/"),), ()),)


def identify(
    directory: Path, token: str, *published: dict[str, Any], name_claim: str = "sub", **settings: Any
) -> Identity | None:
    file = directory / "keys.json"
    file.write_text(json.dumps({"keys": published or [rsa_key().jwk()]}))
    algorithms = settings.get("algorithms", ("RS256",))
    issuer = Issuer("corp", ISSUER, (AUDIENCE, "other"), algorithms, name_claim, FixedKeys(file), RULES)
    return asyncio.run(Issuers([issuer]).identify(token))


def good(**others: Any) -> dict[str, Any]:
    return claims(ISSUER, **others)


def forged(header: dict[str, Any], payload: dict[str, Any], secret: bytes = b"") -> str:
    """What no decent library makes."""
    parts = [encoded(json.dumps(part).encode()) for part in (header, payload)]
    signature = hmac.digest(secret, ".".join(parts).encode(), hashlib.sha256) if secret else b""
    return ".".join([*parts, encoded(signature)])


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_good_token_gives_name_and_permissions(tmp_path: Path) -> None:
    identity = identify(tmp_path, rsa_key().sign(good(groups=["ml"], team="red")))
    assert identity is not None
    assert identity.key == ("corp", "alice")
    assert identity.permissions.permit(Action.READ, ArtifactPath.parse("teams/red/x"))
    assert not identity.permissions.permit(Action.READ, ArtifactPath.parse("teams/blue/x"))


@pytest.mark.parametrize(
    "key",
    [
        rsa_key("p", "PS256"),
        rsa_key("r", "RS512"),
        ec_key(),
        ec_key("e", "ES384"),
        ec_key("f", "ES512"),
        ed_key(),
    ],
    ids=lambda key: key.algorithm,
)
def test_every_kind_of_key_is_taken_where_its_algorithm_is_accepted(tmp_path: Path, key: Key) -> None:
    token = key.sign(good())
    for published in (key.jwk(), key.jwk(alg=None, use=None)):
        assert identify(tmp_path, token, published, algorithms=ALGORITHMS) is not None
    with pytest.raises(Unauthenticated, match="which is not accepted for its issuer"):
        identify(tmp_path, token, key.jwk())


def test_no_algorithm_with_a_shared_secret_or_none_can_be_chosen() -> None:
    assert not [name for name in ALGORITHMS if name.lower() == "none" or name.startswith("HS")]


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256 ", "rs256", ""])
def test_a_token_with_another_algorithm_is_refused(tmp_path: Path, algorithm: str) -> None:
    secret = rsa_key().pem().encode() if algorithm == "HS256" else b""
    with pytest.raises(Unauthenticated, match="which is not accepted for its issuer"):
        identify(tmp_path, forged({"alg": algorithm, "kid": "first"}, good(), secret))


@pytest.mark.parametrize("header", [{}, {"alg": None}, {"alg": ["RS256"]}, {"alg": 5}])
def test_a_token_without_an_algorithm_is_refused(tmp_path: Path, header: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated, match="header makes no sense"):
        identify(tmp_path, forged(header, good()))


NOW = int(time.time())


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"exp": NOW - 60}, "it has expired; log in again"),
        ({"nbf": NOW + 600}, "it does not hold yet"),
        ({"iat": NOW + 600}, "it does not hold yet"),
        ({"aud": "somebody-else"}, "meant for another audience"),
        ({"aud": []}, "lacks one of the claims exp, iss and aud"),
        ({"aud": {"x": 1}}, "meant for another audience"),
        ({"aud": None}, "lacks one of the claims exp, iss and aud"),
        ({"exp": None}, "lacks one of the claims exp, iss and aud"),
        ({"exp": "soon"}, "it is malformed"),
        ({"exp": 1e400}, "it is malformed"),
        ({"iss": "https://evil.example.com"}, "an issuer that is not accepted"),
        ({"iss": ISSUER + "/"}, "an issuer that is not accepted"),
        ({"iss": None}, "an issuer that is not accepted"),
        ({"sub": None}, "does not tell one name in its claim 'sub'"),
        ({"sub": ""}, "does not tell one name in its claim 'sub'"),
    ],
    ids=lambda value: None,
)
def test_a_token_with_a_wrong_claim_is_refused_with_the_reason(
    tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unauthenticated, match=reason):
        identify(tmp_path, rsa_key().sign(good(**wrong)))


@pytest.mark.parametrize("name", [None, 5, [], ["alice", "bob"], {"x": "alice"}])
def test_the_claim_with_the_name_must_tell_one(tmp_path: Path, name: object) -> None:
    with pytest.raises(Unauthenticated, match="does not tell one name in its claim 'email'"):
        identify(tmp_path, rsa_key().sign(good(email=name)), name_claim="email")


def test_clocks_may_differ_a_little(tmp_path: Path) -> None:
    token = rsa_key().sign(good(exp=int(time.time()) - 10, nbf=int(time.time()) + 10))
    assert identify(tmp_path, token) is not None


@pytest.mark.parametrize(
    "published",
    [
        rsa_key("second").jwk(),
        rsa_key("another pair").jwk(kid="first"),
        rsa_key().jwk(alg="RS384"),
        ec_key().jwk(kid="first", alg=None),
    ],
    ids=["unknown id", "wrong signature", "key for another algorithm", "key of another kind"],
)
def test_a_token_that_no_key_of_the_issuer_signed_is_refused(
    tmp_path: Path, published: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated, match="not signed with a key of its issuer"):
        identify(tmp_path, rsa_key().sign(good()), published)


def test_a_token_that_names_no_key_is_tried_with_all(tmp_path: Path) -> None:
    published = [ec_key().jwk(), rsa_key("second").jwk(), rsa_key().jwk(kid=None)]
    assert identify(tmp_path, rsa_key().sign(good(), kid=None), *published) is not None


def test_a_changed_token_is_refused(tmp_path: Path) -> None:
    header, _, signature = rsa_key().sign(good()).split(".")
    token = ".".join([header, encoded(json.dumps(good(sub="root")).encode()), signature])
    with pytest.raises(Unauthenticated, match="not signed with a key of its issuer"):
        identify(tmp_path, token)


@pytest.mark.parametrize("headers", [{"crit": ["exp"], "exp": 1}, {"crit": []}, {"kid": 5}], ids=str)
def test_a_header_that_asks_for_what_is_not_known_is_nobody_s(
    tmp_path: Path, headers: dict[str, Any]
) -> None:
    assert identify(tmp_path, forged({"alg": "RS256"} | headers, good())) is None


def test_a_token_whose_content_lies_elsewhere_is_nobody_s(tmp_path: Path) -> None:
    header = encoded(json.dumps({"alg": "RS256", "b64": False, "crit": ["b64"]}).encode())
    assert identify(tmp_path, f"{header}..{encoded(b'signature')}") is None


@pytest.mark.parametrize("secret", ["", "apx_x", "a.b", "a.b.c", "...", "ä.ö.ü", "e30.W10.", "\udc80.a.b"])
def test_what_is_no_token_is_nobody_s(tmp_path: Path, secret: str) -> None:
    assert identify(tmp_path, secret) is None
