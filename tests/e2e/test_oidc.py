"""Callers with tokens of an OpenID provider, through a real server and a real issuer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.access import access_file, basic, bearer, issuer_stanza, rule
from tests.support.oidc import AUDIENCE, DISCOVERY, HOUR, JWKS, Provider, providing, rsa_key
from tests.support.server import Server, running
from tests.support.waiting import wait_until

RULES = (
    rule("read,list,write:users/{name}/"),
    rule("all:teams/{team}/", when={"groups": "ml"}, deny=["delete:teams/{team}/releases/"]),
)


def known_by(provider: Provider, directory: Path) -> Path:
    return access_file(directory, issuer_stanza("corp", provider.url, AUDIENCE, *RULES))


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Signs with one key, and has published the next one as well."""
    with providing(rsa_key(), rsa_key("second")) as started:
        yield started


@pytest.fixture(scope="module")
def guarded(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("oidc")
    with running(directory / "root", "--access-file", str(known_by(provider, directory))) as started:
        yield started


def put(server: Server, client: httpx.Client, path: str, headers: dict[str, str]) -> httpx.Response:
    return client.put(f"{server.native}/{path}", content=b"content", headers=headers)


@pytest.mark.parametrize("credential", [bearer, basic], ids=["bearer", "basic"])
def test_a_token_opens_what_its_claims_say(
    guarded: Server, client: httpx.Client, provider: Provider, credential: Callable[[str], dict[str, str]]
) -> None:
    alice = credential(provider.token(team="red", groups=["ml", "x"]))
    for path in ("users/alice/a.txt", "teams/red/a.txt"):
        assert put(guarded, client, path, alice).is_success
        assert client.get(f"{guarded.native}/{path}", headers=alice).content == b"content"
    for path in ("users/bob/a.txt", "teams/blue/a.txt", "a.txt"):
        refused = put(guarded, client, path, alice)
        assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert client.delete(f"{guarded.native}/teams/red", headers=alice).status_code == 403
    assert put(guarded, client, "teams/red/a.txt", credential(provider.token(team="red"))).status_code == 403


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ({"exp": HOUR}, "it has expired"),
        ({"aud": "other"}, "another audience"),
        ({"iss": "https://login.example.com"}, "an issuer that is not accepted"),
        ({"sub": None}, "does not tell one name"),
    ],
    ids=["expired", "audience", "issuer", "nameless"],
)
def test_a_token_that_does_not_hold_is_refused_with_the_reason(
    guarded: Server, client: httpx.Client, provider: Provider, others: dict[str, Any], reason: str
) -> None:
    answer = put(guarded, client, "users/alice/no.txt", bearer(provider.token(**others)))
    assert (answer.status_code, answer.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert reason in answer.json()["message"]
    assert "users/alice/no.txt" not in guarded.tree()


def test_keys_are_changed_with_an_overlap_and_a_revoked_one_ends(
    client: httpx.Client, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    first, second = rsa_key(), rsa_key("second")
    with providing(first, second) as provider:
        server = serve("--access-file", str(known_by(provider, tmp_path)))

        def status(token: str) -> int:
            return put(server, client, "users/alice/a.txt", bearer(token)).status_code

        old, new = provider.token(first), provider.token(second)
        assert status(old) < 300
        assert status(new) < 300
        assert provider.asked == [DISCOVERY, JWKS]
        provider.fail()
        assert status(old) < 300  # with the keys that it has
        provider.answers.clear()
        provider.keys = [second.jwk()]
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(old) == 401, "the end of the revoked key")
        assert status(new) < 300


def test_without_any_keys_nobody_is_let_in_and_clients_are_told_to_try_again(
    client: httpx.Client, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    with providing(rsa_key()) as provider:
        provider.fail()
        server = serve("--access-file", str(known_by(provider, tmp_path)))
        for _ in range(3):
            answer = put(server, client, "users/alice/a.txt", bearer(provider.token()))
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
        assert provider.asked == [DISCOVERY]
        assert server.tree() == {}
