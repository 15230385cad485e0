"""A reverse proxy is believed from its own address, and only when it is clear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_network
from urllib.parse import quote

import pytest

from app.errors import Unauthenticated
from app.identity.base import Credentials, Identity
from app.identity.permissions import Action, Grant
from app.identity.proxy_header import ProxyHeader
from app.identity.rules import Rule
from app.paths import ArtifactPath
from tests.support.access import proxy_header_stanza, rule
from tests.support.guarded import audited, guarded
from tests.support.raw import Answer, exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

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
    with pytest.raises(Unauthenticated, match=r"'x-user' empty, more than once or not in UTF-8"):
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


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for which this machine is the reverse proxy."""
    directory = tmp_path_factory.mktemp("proxied")
    stanza = proxy_header_stanza(
        ["127.0.0.1"],
        rule("all:users/{name}/"),
        rule("all:teams/größe/", when={"groups": "größe"}),
        header="X-User",
        groups_header="X-Groups",
    )
    with guarded(directory, stanza, flags=["--audit-log", str(directory / "audit.log")]) as server:
        yield server


class TestOverHttp:
    """The bytes of a header are UTF-8, or they name nobody."""

    def put(self, server: Server, path: str, *headers: bytes) -> Answer:
        lines = [*(header.decode("latin-1") for header in headers), "Content-Length: 1"]
        return exchange(server.url, head("PUT", f"/v1/artifacts/{quote(path)}", *lines) + b"x")

    @pytest.mark.parametrize("name", ["jürgen", "Ξένια", "田中", "a b@example.com", "🙂"])
    def test_a_name_in_utf_8_is_that_of_the_caller(self, proxied: Server, name: str) -> None:
        user = b"X-User: " + name.encode()
        assert self.put(proxied, f"users/{name}/a", user).status in {200, 201}
        assert (proxied.root / "users" / name / "a").read_bytes() == b"x"
        who = {"kind": "proxy", "name": name}
        log = proxied.root.parent / "audit.log"
        wait_until(lambda: who in [line["who"] for line in audited(log)], "it is written down")
        for other in ("jurgen", f"{name}x", name.encode().decode("latin-1") + "x"):
            assert self.put(proxied, f"users/{other}/a", user).status == 403

    def test_groups_are_in_utf_8_as_well(self, proxied: Server) -> None:
        for groups, status in (("größe, b", 201), ("grosse", 403), ("größer", 403)):
            headers = (b"X-User: alice", b"X-Groups: " + groups.encode())
            assert self.put(proxied, "teams/größe/a", *headers).status == status

    @pytest.mark.parametrize(
        "value", [b"j\xfcrgen", b"\xff", b"a\xc0\xae", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"]
    )
    def test_what_is_no_utf_8_names_nobody(self, proxied: Server, value: bytes) -> None:
        before = proxied.tree()
        for headers in ((b"X-User: " + value,), (b"X-User: alice", b"X-Groups: ml," + value)):
            refused = self.put(proxied, "users/alice/none", *headers)
            assert (refused.status, json.loads(refused.body)["error_code"]) == (401, "UNAUTHENTICATED")
        assert proxied.tree() == before
        assert "Traceback" not in proxied.log()

    @pytest.mark.parametrize("name", [b"X-User\xe9", "X-Usér".encode(), b"X-User\xc2\xa0", b"\xffX-User"])
    def test_a_name_of_a_header_in_other_bytes_than_ascii_is_no_request(
        self, proxied: Server, name: bytes
    ) -> None:
        refused = self.put(proxied, "users/alice/none", name + b": alice")
        assert (refused.status, json.loads(refused.body)["error_code"]) == (400, "MALFORMED_REQUEST")

    @pytest.mark.parametrize("name", [b"X_User", b"XUser", b"X-Users", b"X-User.", b"~X-User"])
    def test_a_name_that_is_alike_is_another(self, proxied: Server, name: bytes) -> None:
        assert self.put(proxied, "users/alice/none", name + b": alice").status == 401
        assert self.put(proxied, "users/bob/a", b"X-USER: bob", name + b": alice").status in {200, 201}
