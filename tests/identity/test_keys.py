"""The keys of issuers: how long they are kept, when they are fetched, and what is done without them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.errors import IdentityUnavailable
from app.identity.access_file import _discovered
from app.identity.keys import (
    COOLDOWN_SECONDS,
    LIFESPAN_SECONDS,
    STALE_SECONDS,
    FetchedKeys,
    FixedKeys,
    SigningKey,
)
from tests.support.event_loop import A_MOMENT, until
from tests.support.oidc import DISCOVERY, JWKS, Provider, ec_key, ed_key, providing, rsa_key


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing(rsa_key()) as started:
        yield started


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Kept(FetchedKeys):
    """Keys with a clock that the test moves."""

    def __init__(self, provider: Provider, *, discovered: bool = False) -> None:
        self.time = Clock()
        find = partial(_discovered, provider.url) if discovered else lambda: provider.url + JWKS
        super().__init__(find, self.time)

    def ids(self, key_id: str | None = "first") -> list[str | None]:
        return [key.key_id for key in asyncio.run(self.candidates(key_id))]


def test_keys_are_fetched_once_within_their_lifespan(provider: Provider) -> None:
    keys = Kept(provider)
    assert keys.ids() == ["first"]
    keys.time.now += LIFESPAN_SECONDS - 1
    assert keys.ids() == keys.ids(None) == ["first"]
    assert provider.asked == [JWKS]
    keys.time.now += 1
    assert keys.ids() == ["first"]
    assert provider.asked == [JWKS, JWKS]


def test_a_revoked_key_is_gone_after_the_lifespan(provider: Provider) -> None:
    keys = Kept(provider)
    keys.ids()
    provider.keys = [rsa_key("second").jwk()]
    keys.time.now += LIFESPAN_SECONDS
    assert keys.ids("first") == []
    assert keys.ids("second") == ["second"]


def test_expired_keys_are_fetched_for_the_next_caller_whatever_the_cooldown(provider: Provider) -> None:
    keys = Kept(provider)
    keys.ids()
    provider.keys = [rsa_key("second").jwk()]
    keys.expire()
    assert keys.ids("first") == []
    assert keys.ids("second") == ["second"]
    assert provider.asked == [JWKS, JWKS]


def test_expired_keys_are_used_for_a_while_if_the_issuer_is_down(provider: Provider) -> None:
    keys = Kept(provider)
    keys.ids()
    provider.fail()
    for _ in range(2):
        keys.expire()
        assert keys.ids() == ["first"]
    # Each time it was asked, and the time for which they are used is none the longer.
    assert len(provider.asked) == 3
    keys.time.now += STALE_SECONDS
    keys.expire()
    with pytest.raises(IdentityUnavailable):
        keys.ids()


def test_what_the_issuer_said_before_the_keys_expired_has_expired_too(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Kept(provider)
    answered, goes_on = threading.Event(), threading.Event()
    fetched = keys._get

    def late() -> list[SigningKey] | None:
        found = fetched()
        answered.set()
        assert goes_on.wait(20)
        return found

    monkeypatch.setattr(keys, "_get", late)

    async def main() -> list[str | None]:
        before = asyncio.create_task(keys.candidates("first"))
        await until(answered.is_set)
        provider.keys = [rsa_key("second").jwk()]
        keys.expire()
        after = asyncio.create_task(keys.candidates("first"))
        await asyncio.sleep(A_MOMENT)  # it waits for the same answer
        goes_on.set()
        return [key.key_id for key in await before + await after]

    assert asyncio.run(main()) == []
    assert provider.asked == [JWKS, JWKS]


def test_what_was_never_fetched_cannot_expire(provider: Provider) -> None:
    keys = Kept(provider)
    keys.expire()
    assert keys.ids() == ["first"]
    assert provider.asked == [JWKS]


def test_an_unknown_key_is_asked_for_but_not_more_often_than_the_cooldown(provider: Provider) -> None:
    keys = Kept(provider)
    keys.ids()
    provider.keys = [rsa_key().jwk(), rsa_key("second").jwk()]
    assert keys.ids("second") == []
    keys.time.now += COOLDOWN_SECONDS
    assert keys.ids("second") == ["second"]
    assert [keys.ids(name) for name in ("x", "y", "z")] == [[], [], []]
    assert len(provider.asked) == 2


def test_many_at_once_make_one_request(provider: Provider) -> None:
    keys = Kept(provider)

    async def many() -> list[int]:
        return [len(found) for found in await asyncio.gather(*(keys.candidates("first") for _ in range(50)))]

    assert asyncio.run(many()) == [1] * 50
    assert provider.asked == [JWKS]


def test_a_caller_who_goes_away_takes_the_keys_from_nobody(provider: Provider) -> None:
    keys = Kept(provider)
    provider.goes_on.clear()

    async def two() -> int:
        first, second = (asyncio.create_task(keys.candidates("first")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        provider.goes_on.set()
        return len(await second)

    assert asyncio.run(two()) == 1
    assert provider.asked == [JWKS]


def test_the_last_keys_are_used_for_a_while_when_the_issuer_is_down(provider: Provider) -> None:
    keys = Kept(provider)
    keys.ids()
    provider.fail()
    keys.time.now += LIFESPAN_SECONDS + STALE_SECONDS - 1
    assert keys.ids() == ["first"]
    keys.time.now += 1
    with pytest.raises(IdentityUnavailable):
        keys.ids()


def test_without_keys_it_is_not_known_who_asks_until_the_issuer_is_back(provider: Provider) -> None:
    keys = Kept(provider)
    provider.fail()
    for _ in range(3):
        with pytest.raises(IdentityUnavailable, match="try again later"):
            keys.ids()
    assert len(provider.asked) == 1
    provider.answers.clear()
    keys.time.now += COOLDOWN_SECONDS
    assert keys.ids() == ["first"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"keys": 5}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AAAA"}]}',
        b"\xff",
    ],
)
def test_an_answer_without_keys_is_no_answer(provider: Provider, body: bytes) -> None:
    provider.answers[JWKS] = (200, body)
    with pytest.raises(IdentityUnavailable):
        Kept(provider).ids()


@pytest.mark.parametrize("redirected", [JWKS, DISCOVERY])
def test_redirects_are_not_followed(provider: Provider, redirected: str) -> None:
    with providing(rsa_key()) as other:
        provider.location = other.url + redirected
        provider.answers[redirected] = (302, b"")
        with pytest.raises(IdentityUnavailable):
            Kept(provider, discovered=True).ids()
        assert other.asked == []


def test_the_issuer_says_where_its_keys_are(provider: Provider) -> None:
    assert Kept(provider, discovered=True).ids() == ["first"]
    assert provider.asked == [DISCOVERY, JWKS]


@pytest.mark.parametrize(
    "change",
    [{"issuer": "http://127.0.0.1:1"}, {"issuer": None}, {"jwks_uri": None}]
    + [{"jwks_uri": url} for url in ("http://example.com/keys", "file:///etc/passwd", "keys", "")],
    ids=str,
)
def test_what_an_issuer_says_must_be_its_own_and_protected(
    provider: Provider, change: dict[str, Any]
) -> None:
    said = {"issuer": provider.url, "jwks_uri": provider.url + JWKS} | change
    provider.answers[DISCOVERY] = (200, json.dumps(said).encode())
    with pytest.raises(IdentityUnavailable):
        Kept(provider, discovered=True).ids()
    assert provider.asked == [DISCOVERY]


def test_only_keys_for_signatures_of_known_kinds_are_taken(provider: Provider) -> None:
    first = rsa_key().jwk()
    others = [
        first | change for change in ({"use": "enc"}, {"kty": "DH"}, {"alg": ["x"]}, {"n": 5}, {"alg": "X"})
    ]
    provider.keys = [*others, {"kty": "oct", "k": "AAAA", "kid": "first"}, first]
    assert Kept(provider).ids(None) == ["first"]


@pytest.mark.parametrize("key", [rsa_key(), ec_key(), ed_key()], ids=lambda key: key.algorithm)
def test_a_key_in_pem_is_for_tokens_with_any_key_id(tmp_path: Path, key: Any) -> None:
    file = tmp_path / "key.pem"
    file.write_text(key.pem())
    for key_id in (None, "anything"):
        assert len(asyncio.run(FixedKeys(file).candidates(key_id))) == 1


def test_a_key_set_in_a_file_is_looked_up_by_key_id(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [rsa_key().jwk(), ec_key().jwk()]}))
    assert [key.key_id for key in asyncio.run(FixedKeys(file).candidates("elliptic"))] == ["elliptic"]
    assert asyncio.run(FixedKeys(file).candidates("unknown")) == []


@pytest.mark.parametrize(
    "text", ["", "{}", '{"keys": []}', "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"]
)
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"\w"):
        FixedKeys(file)
