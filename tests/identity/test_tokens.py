"""Static tokens: their form, their hashes and their ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import Unauthenticated
from app.identity.permissions import Action, Grant
from app.identity.tokens import StaticToken, StaticTokens, digest_of, new_token
from app.paths import ArtifactPath

PATH = ArtifactPath.parse("users/ci/x")


def known(token: str, expires: datetime | None = None) -> StaticTokens:
    allow = (Grant.parse("read:users/{name}/"),)
    return StaticTokens([StaticToken("ci", digest_of(token), expires, allow, ())])


def test_tokens_have_one_form_and_are_all_different() -> None:
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch("apx_[A-Za-z0-9_-]{43}", token) for token in made)


def test_a_token_gives_its_identity_with_its_own_name_filled_in() -> None:
    token = new_token()
    identity = known(token).identify(token)
    assert identity is not None
    assert identity.key == ("token", "ci")
    assert identity.permissions.permit(Action.READ, PATH)
    assert not identity.permissions.permit(Action.WRITE, PATH)


def test_only_the_hash_is_kept() -> None:
    token = new_token()
    assert token not in repr(vars(known(token)))
    assert digest_of(token) in repr(vars(known(token)))


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "a", lambda t: t + "\n", str.upper, digest_of]
)
def test_what_is_not_the_whole_token_is_nobody_s(change: object) -> None:
    token = new_token()
    assert callable(change)
    assert known(token).identify(change(token)) is None
    assert known(token).identify(new_token()) is None


def test_a_token_holds_until_it_expires() -> None:
    token, moment = new_token(), timedelta(minutes=1)
    assert known(token, datetime.now(UTC) + moment).identify(token) is not None
    with pytest.raises(Unauthenticated, match="has expired"):
        known(token, datetime.now(UTC) - moment).identify(token)
    assert known(token, datetime.now(UTC) - moment).identify(new_token()) is None
