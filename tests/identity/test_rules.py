"""Claims as they come, and the rules that ask for them."""

from __future__ import annotations

from typing import Any

import pytest

from app.identity.permissions import Action, Grant
from app.identity.rules import Claims, Rule, permissions_for
from app.paths import ArtifactPath


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"team": "red"}, "team", ("red",)),
        ({"groups": ["a", "b"]}, "groups", ("a", "b")),
        ({"groups": ["a", 1, None, ["b"]]}, "groups", ("a",)),
        ({"realm": {"roles": ["x"]}}, "realm.roles", ("x",)),
        ({"https://a.b/roles": ["x"]}, "https://a.b/roles", ("x",)),
        ({"a.b": "flat", "a": {"b": "deep"}}, "a.b", ("flat",)),
        ({"scope": "read  write"}, "scope", ("read", "write")),
        ({"scp": "read write"}, "scp", ("read", "write")),
        ({"team": "two words"}, "team", ("two words",)),
        ({"scope": ""}, "scope", ()),
        ({}, "team", ()),
        ({"team": "red"}, "team.name", ()),
        ({"team": None}, "team", ()),
        ({"team": 1}, "team", ()),
        ({"team": True}, "team", ()),
        ({"team": {"x": "y"}}, "team", ()),
        ({"team": []}, "team", ()),
    ],
)
def test_a_claim_is_its_texts_and_nothing_else(
    values: dict[str, Any], name: str, expected: tuple[str, ...]
) -> None:
    assert Claims(values)(name) == expected


def granted(claims: dict[str, Any], *rules: Rule) -> list[str]:
    permissions = permissions_for(rules, "alice", Claims(claims))
    places = ("red/x", "alice/x", "common/x")
    return [text for text in places if permissions.permit(Action.READ, ArtifactPath.parse(text))]


def rule(allow: str, deny: str = "", **when: str) -> Rule:
    return Rule(when, (Grant.parse(allow),), (Grant.parse(deny),) if deny else ())


def test_rules_that_apply_add_up() -> None:
    rules = (rule("read:common"), rule("read:{team}", groups="ml"), rule("read:{name}", groups="users"))
    assert granted({}, *rules) == ["common/x"]
    assert granted({"groups": ["ml"], "team": "red"}, *rules) == ["red/x", "common/x"]
    assert granted({"groups": ["users", "ml"]}, *rules) == ["alice/x", "common/x"]


def test_all_that_a_rule_asks_for_must_be_claimed() -> None:
    asking = rule("read:common", groups="ml", mfa="yes")
    assert granted({"groups": ["ml"], "mfa": "yes"}, asking) == ["common/x"]
    for claims in ({"groups": ["ml"]}, {"groups": ["ml"], "mfa": True}, {"groups": "mls", "mfa": "yes"}):
        assert granted(claims, asking) == []


def test_the_caller_s_name_is_not_a_claim_called_name() -> None:
    assert granted({"name": "red"}, rule("read:{name}")) == ["alice/x"]


def test_a_denial_of_one_rule_holds_for_all() -> None:
    assert granted({"groups": "x"}, rule("read:"), rule("read:", "read:red", groups="x")) == [
        "alice/x",
        "common/x",
    ]
