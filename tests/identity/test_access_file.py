"""The access file: what it makes known, and mistakes that are told by their place and never by a secret."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from app.identity.access_file import InvalidAccessFile, load
from app.identity.base import Credentials
from app.identity.permissions import Action
from app.identity.tokens import digest_of
from app.paths import ArtifactPath
from tests.support.access import (
    access_file,
    everybody_stanza,
    issuer_stanza,
    proxy_header_stanza,
    rule,
    token_stanza,
    token_text,
)
from tests.support.oidc import AUDIENCE, claims, rsa_key

ISSUER = "https://login.example.com"
DIGEST = digest_of("x")
TOKEN = "apx_" + "Canary0_-" * 4 + "7654321"


def test_all_ways_to_be_known_work_side_by_side(tmp_path: Path) -> None:
    token, stanza = token_stanza("ci", "read:{name}/")
    (tmp_path / "key.pem").write_text(rsa_key().pem())
    file = access_file(
        tmp_path,
        stanza,
        issuer_stanza("corp", ISSUER, AUDIENCE, rule("read:{name}/"), key_file="key.pem"),
        proxy_header_stanza(["127.0.0.1"], rule("read:{name}/")),
        everybody_stanza("read:common/", deny=["read:common/keys/"]),
    )
    known = load(file)
    assert known.headers == {"x-forwarded-user"}
    for kind, name, credentials in (
        ("token", "ci", Credentials("10.0.0.1", token, {})),
        ("corp", "alice", Credentials("10.0.0.1", rsa_key().sign(claims(ISSUER)), {})),
        ("proxy", "bob", Credentials("127.0.0.1", None, {"x-forwarded-user": "bob"})),
    ):
        identity = asyncio.run(known.identify(credentials))
        assert identity.key == (kind, name)
        readable = [f"{name}/x", "common/x", "common/keys/x", "other/x"]
        permitted = [p for p in readable if identity.permissions.permit(Action.READ, ArtifactPath.parse(p))]
        assert permitted == [f"{name}/x", "common/x"]


@pytest.mark.parametrize("audience", ["artifact-proxy", ["artifact-proxy", "other"]])
def test_an_issuer_needs_no_more_than_its_url_and_an_audience(
    tmp_path: Path, audience: str | list[str]
) -> None:
    assert load(access_file(tmp_path, issuer_stanza("corp", ISSUER, audience))).headers == set()


PROXY = proxy_header_stanza(["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it knows nobody"),
        ("tokens", "it is not TOML: "),
        ("[[token]]", "token: it is not known here"),
        (token_text("ci", TOKEN), "tokens.1.sha256: "),
        (token_text("ci", DIGEST.upper()), "tokens.1.sha256: "),
        (token_text("c i", DIGEST), "tokens.1.name: a name has up to 100"),
        (
            token_text("a", DIGEST) + token_text("b", digest_of("y"), "read:a", "reed:"),
            "tokens.2.allow.2: 'reed:'",
        ),
        (token_text("a", DIGEST, deny=["all:{team}/"]), "the placeholder {team} is not known here"),
        (token_text("a", DIGEST) + f'password = "{TOKEN}"', "tokens.1.password: it is not known here"),
        (token_text("a", DIGEST) + token_text("a", digest_of("y")), "the name of a token is there twice: a"),
        (token_text("a", DIGEST) + token_text("b", DIGEST), "the hash of a token is there twice"),
        (PROXY + everybody_stanza("read:{team}/"), "the placeholder {team} is not known here"),
        (issuer_stanza("corp", "http://login.example.com", "a"), "is not https:"),
        (issuer_stanza("corp", f"https://me:{TOKEN}@a.example", "a"), "issuers.1.issuer: it is no URL"),
        (issuer_stanza("corp", "login", "a"), "issuers.1.issuer: it is no URL"),
        (issuer_stanza("corp", ISSUER, ""), "it needs an audience"),
        (issuer_stanza("corp", ISSUER, []), "it needs an audience"),
        (issuer_stanza("corp", ISSUER, ["a", ""]), "it needs an audience"),
        (issuer_stanza("corp", ISSUER, "a", algorithms=["HS256"]), "the algorithm 'HS256' is not accepted"),
        (issuer_stanza("corp", ISSUER, "a", algorithms=["none"]), "the algorithm 'none' is not accepted"),
        (issuer_stanza("corp", ISSUER, "a", algorithms=[]), "an algorithm"),
        (issuer_stanza("token", ISSUER, "a"), "the name 'token' is taken"),
        (issuer_stanza("corp", ISSUER, "a", jwks_url=ISSUER, key_file="k"), "a jwks_url and a key_file"),
        (issuer_stanza("corp", ISSUER, "a", key_file="missing.pem"), "'missing.pem' cannot be read"),
        (issuer_stanza("corp", ISSUER, "a", key_file="access.toml"), "'access.toml' cannot be used"),
        (issuer_stanza("a", ISSUER, "a") + issuer_stanza("b", ISSUER, "a"), "an issuer is there twice"),
        (
            issuer_stanza("a", ISSUER, "a") + issuer_stanza("a", ISSUER + "/", "a"),
            "name of an issuer is there twice",
        ),
        (proxy_header_stanza([]), "proxy_header.allowed_ips: "),
        (proxy_header_stanza(["10.0.0.1", TOKEN]), "proxy_header.allowed_ips.2: it is no IP address"),
        (proxy_header_stanza(["10.0.0.1"], header="Authorization"), "cannot be the one that names the user"),
        (proxy_header_stanza(["10.0.0.1"], header="a", groups_header="A"), "cannot be the one that names"),
        (proxy_header_stanza(["10.0.0.1"], header="a b"), "proxy_header.header: it is no name of a header"),
        (proxy_header_stanza(["10.0.0.1"], rule(when={"team": "x"})), "a proxy says nothing of 'team'"),
        (proxy_header_stanza(["10.0.0.1"], rule("read:{team}/")), "the placeholder {team} is not known here"),
    ],
)
def test_a_mistake_is_told_by_its_place_and_without_secrets(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidAccessFile, match=re.escape(message)) as refused:
        load(access_file(tmp_path, text))
    assert TOKEN not in str(refused.value)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidAccessFile, match=r"cannot be read \(No such file"):
        load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xe4 = 1")
    with pytest.raises(InvalidAccessFile, match="not in UTF-8"):
        load(tmp_path / "latin.toml")
