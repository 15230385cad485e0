"""A reverse proxy is believed from its own address, and only when it is clear."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from app.errors import Unauthenticated
from app.identity.base import Credentials, Identity
from app.identity.permissions import Action, Grant
from app.identity.proxy_header import ProxyHeader
from app.identity.rules import Rule
from app.paths import ArtifactPath

RULES = (
    Rule({}, (Grant.parse("read:{name}/"),), ()),
    Rule({"groups": "ml"}, (Grant.parse("read:ml/"),), ()),
)
NETWORKS = (ip_network("10.0.0.5"), ip_network("192.168.0.0/24"), ip_network("fd00::/8"))
PROXY = ProxyHeader("x-user", "x-groups", NETWORKS, RULES)


def identify(user: str | None, peer: str = "10.0.0.5", **groups: str | None) -> Identity | None:
    headers = {"x-user": user} | {f"x-{name}": value for name, value in groups.items()}
    return PROXY.identify(Credentials(peer, None, headers))


@pytest.mark.parametrize(
    "peer", ["10.0.0.5", "192.168.0.77", "fd00::1", "::ffff:10.0.0.5", "::FFFF:0a00:0005"]
)
def test_whom_a_trusted_proxy_names_is_believed(peer: str) -> None:
    identity = identify("alice", peer)
    assert identity is not None
    assert identity.key == ("proxy", "alice")
    assert identity.permissions.permit(Action.READ, ArtifactPath.parse("alice/x"))
    assert not identity.permissions.permit(Action.READ, ArtifactPath.parse("ml/x"))


@pytest.mark.parametrize(
    "peer", ["10.0.0.6", "192.168.1.1", "127.0.0.1", "::ffff:10.0.0.6", "::1", "", "unix:", "a"]
)
def test_anybody_else_may_say_what_they_like(peer: str) -> None:
    assert identify("alice", peer) is None
    assert identify(None, peer) is None


def test_a_proxy_that_names_nobody_leaves_it_to_the_other_ways() -> None:
    assert PROXY.identify(Credentials("10.0.0.5", None, {})) is None


@pytest.mark.parametrize("user", ["", None], ids=["empty", "more than once"])
def test_an_unclear_name_is_refused(user: str | None) -> None:
    with pytest.raises(Unauthenticated, match=r"'x-user' empty or more than once"):
        identify(user)


def test_groups_that_are_there_more_than_once_are_refused() -> None:
    with pytest.raises(Unauthenticated, match=r"'x-groups' more than once"):
        identify("alice", groups=None)


@pytest.mark.parametrize(
    ("groups", "member"), [("ml", True), ("a, ml ,b", True), ("mls,am l", False), (",", False)]
)
def test_groups_are_separated_by_commas(groups: str, member: bool) -> None:
    identity = identify("alice", groups=groups)
    assert identity is not None
    assert identity.permissions.permit(Action.READ, ArtifactPath.parse("ml/x")) is member
