"""What reverse proxies say of a request: it is believed where the operator trusts them, and nowhere else."""

from __future__ import annotations

import asyncio
import re
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from app.api.forwarded import Forwarded, is_proxied
from tests.support.access_log import complete_log
from tests.support.server import Server

PROXY = "10.0.0.7"
CLIENT = "203.0.113.9"
TRUSTED = "10.0.0.7, 192.168.0.0/16, ::1, fd00::/8"


def forwarded(
    *headers: tuple[str, str], peer: str | None = PROXY, trusted: str = TRUSTED, kind: str = "http"
) -> Scope:
    """What the application sees of a request by `peer`, over plain HTTP."""
    seen: list[Scope] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("a request is judged without its body")

    async def send(message: MutableMapping[str, Any]) -> None:
        raise AssertionError("nothing is answered here")

    sent: Scope = {
        "type": kind,
        "scheme": "http",
        "client": (peer, 40_000) if peer else None,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(Forwarded(application, trusted)(sent, receive, send))
    return seen[0]


def client(*lines: str, peer: str | None = PROXY, trusted: str = TRUSTED) -> object:
    """The client's address, as these lines of X-Forwarded-For have it."""
    scope = forwarded(*[("X-Forwarded-For", line) for line in lines], peer=peer, trusted=trusted)
    return scope["client"][0] if scope["client"] else None


def proxied(*headers: tuple[str, str], peer: str | None = PROXY, trusted: str = TRUSTED) -> bool:
    return is_proxied(Request(forwarded(*headers, peer=peer, trusted=trusted)))


class TestClient:
    @pytest.mark.parametrize("peer", ["10.0.0.7", "192.168.200.1", "::1", "0:0:0:0:0:0:0:1", "fd12::7"])
    def test_a_trusted_peer_names_it(self, peer: str) -> None:
        assert client(CLIENT, peer=peer) == CLIENT
        assert client("2001:db8::9", peer=peer) == "2001:db8::9"

    @pytest.mark.parametrize(
        "peer",
        ["10.0.0.8", "10.0.0.70", "192.169.0.1", "127.0.0.1", "::2", "::ffff:10.0.0.7", "fc00::1", "x"],
    )
    def test_any_other_peer_is_the_client_itself(self, peer: str) -> None:
        assert client(CLIENT, peer=peer) == peer
        assert client(PROXY, peer=peer) == peer

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (["198.51.100.1, 203.0.113.9"], CLIENT),
            (["198.51.100.1, 203.0.113.9, 192.168.0.1"], CLIENT),
            (["198.51.100.1", "203.0.113.9, 192.168.0.1", "10.0.0.7"], CLIENT),
            (["10.0.0.7, 203.0.113.9"], CLIENT),
            (["  203.0.113.9\t,192.168.0.1  "], CLIENT),
            (["192.168.0.2, 192.168.0.1"], "192.168.0.2"),
        ],
    )
    def test_of_a_chain_it_is_the_last_that_is_not_trusted(self, lines: list[str], expected: str) -> None:
        """All before it is what that one said of itself."""
        assert client(*lines) == expected

    @pytest.mark.parametrize(
        ("named", "expected"),
        [
            ("203.0.113.9:4711", (CLIENT, 4711)),
            ("[2001:db8::9]:4711", ("2001:db8::9", 4711)),
            ("[2001:db8::9]", ("2001:db8::9", 0)),
            (CLIENT, (CLIENT, 0)),
        ],
    )
    def test_it_may_have_a_port(self, named: str, expected: tuple[str, int]) -> None:
        assert forwarded(("X-Forwarded-For", named))["client"] == expected

    @pytest.mark.parametrize(
        "line",
        ["unknown", "_hidden", "[::1", "a:b:c", "1.2.3.4:x", "\xff\xfe", "x" * 5000, ",,,x", "[]:9999999"],
    )
    def test_garbage_is_no_failure(self, line: str) -> None:
        """It may come out as the client, as it would in the log of the proxy."""
        assert client(line) in {PROXY, line, line.rpartition(",")[2]}

    def test_the_peer_stays_it_where_nothing_is_said(self) -> None:
        assert client() == client("") == client(" , ") == PROXY

    def test_with_an_asterisk_every_peer_is_trusted_and_the_first_named_is_it(self) -> None:
        for peer in (PROXY, "198.51.100.7", "x"):
            assert client(f"{CLIENT}, 198.51.100.1", peer=peer, trusted="*") == CLIENT

    def test_with_nothing_given_no_peer_is_trusted(self) -> None:
        for peer in (PROXY, "127.0.0.1", "::1"):
            assert client(CLIENT, peer=peer, trusted="") == peer
            assert not proxied(("X-Forwarded-For", CLIENT), peer=peer, trusted="")

    def test_a_peer_without_an_address_is_not_trusted(self) -> None:
        assert client(CLIENT, peer=None) is None
        assert not proxied(("X-Forwarded-For", CLIENT), peer=None)


class TestScheme:
    @pytest.mark.parametrize("scheme", ["http", "https", " https "])
    def test_a_trusted_peer_names_it(self, scheme: str) -> None:
        assert forwarded(("X-Forwarded-Proto", scheme))["scheme"] == scheme.strip()

    @pytest.mark.parametrize(
        "scheme", ["", "ftp", "HTTPS", "https, http", "javascript:", "h\xffttps", "https\x00"]
    )
    def test_garbage_changes_nothing(self, scheme: str) -> None:
        assert forwarded(("X-Forwarded-Proto", scheme))["scheme"] == "http"

    def test_of_several_lines_the_last_counts(self) -> None:
        """The one of the nearest proxy."""
        lines = [("X-Forwarded-Proto", scheme) for scheme in ("http", "ftp", "https")]
        assert forwarded(*lines)["scheme"] == "https"

    def test_any_other_peer_changes_nothing(self) -> None:
        assert forwarded(("X-Forwarded-Proto", "https"), peer=CLIENT)["scheme"] == "http"


class TestIsProxied:
    def test_a_trusted_peer_that_names_a_client_is_a_proxy(self) -> None:
        assert proxied(("X-Forwarded-For", CLIENT))
        assert proxied(("X-Forwarded-For", CLIENT), peer="x", trusted="*")

    def test_a_trusted_peer_that_names_nobody_asks_for_itself(self) -> None:
        """Such as a health check on the same machine."""
        assert not proxied()
        assert not proxied(("X-Forwarded-Proto", "https"), ("Forwarded", f"for={CLIENT}"), ("Via", "1.1 x"))

    def test_any_other_peer_is_no_proxy_whatever_it_says(self) -> None:
        assert not proxied(("X-Forwarded-For", CLIENT), peer=CLIENT)
        assert not proxied(("X-Forwarded-For", PROXY), peer="127.0.0.1")

    def test_what_never_came_through_here_is_not_proxied(self) -> None:
        assert not is_proxied(Request({"type": "http", "headers": [(b"x-forwarded-for", b"203.0.113.9")]}))


def test_what_is_no_request_passes_untouched() -> None:
    assert forwarded(("X-Forwarded-For", CLIENT), kind="lifespan") == {
        "type": "lifespan",
        "scheme": "http",
        "client": (PROXY, 40_000),
        "headers": [(b"x-forwarded-for", CLIENT.encode())],
    }


def peers(server: Server, part: str) -> list[str]:
    """Who asked for the targets that contain `part`, as the access log has it, oldest first."""
    lines = re.findall(r'(\S+) "[A-Z]+ (\S+) HTTP/1\.1"', complete_log(server))
    return [peer for peer, target in lines if part in target]


class TestAccessLog:
    def test_it_has_the_client_of_a_trusted_proxy(
        self, server: Server, client: httpx.Client, folder: str
    ) -> None:
        for address in (CLIENT, "2001:db8::9"):
            client.get(f"{server.native}/{folder}", headers={"X-Forwarded-For": f"198.51.100.1, {address}"})
        client.get(f"{server.native}/{folder}")
        assert peers(server, folder) == [CLIENT, "2001:db8::9", "127.0.0.1"]

    def test_it_has_the_peer_itself_where_that_is_not_trusted(
        self, server: Server, stranger: httpx.Client, folder: str
    ) -> None:
        stranger.get(f"{server.native}/{folder}", headers={"X-Forwarded-For": CLIENT})
        assert peers(server, folder) == ["127.0.0.2"]


OVERRIDES = {
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Original-URL": "/version",
    "X-Rewrite-URL": "/version",
    "X-Forwarded-For": CLIENT,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "99",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Path": "/evil",
    "X-Script-Name": "/evil",
    "X-Real-IP": CLIENT,
    "Forwarded": f"for={CLIENT};host=evil.example;proto=https",
}


class TestHeadersThatWouldMakeAnotherRequest:
    """They change nothing, whoever sends them: each request is the one that its first line tells."""

    @pytest.fixture(params=["trusted", "untrusted"])
    def asking(
        self, request: pytest.FixtureRequest, client: httpx.Client, stranger: httpx.Client
    ) -> httpx.Client:
        return client if request.param == "trusted" else stranger

    def test_an_artifact_is_stored_read_and_told_as_without_them(
        self, server: Server, asking: httpx.Client, folder: str
    ) -> None:
        url = f"{server.native}/{folder}/a"
        stored = asking.put(url, content=b"data", headers=OVERRIDES)
        assert stored.status_code == 201
        assert stored.headers["location"] == f"/v1/artifacts/{folder}/a"
        assert asking.get(url, headers=OVERRIDES).content == b"data"
        told, plain = asking.head(url, headers=OVERRIDES), asking.head(url)
        assert without_date(told) == without_date(plain)
        assert (server.root / folder / "a").read_bytes() == b"data"

    def test_a_method_is_the_one_that_was_sent(
        self, server: Server, asking: httpx.Client, folder: str
    ) -> None:
        url = f"{server.native}/{folder}/a"
        asking.put(url, content=b"data")
        assert asking.post(url, headers=OVERRIDES).status_code == 405
        assert asking.post(f"{url}?_method=DELETE", headers=OVERRIDES).status_code == 405
        assert (server.root / folder / "a").exists()

    def test_a_refusal_is_that_of_the_target_that_was_sent(
        self, server: Server, asking: httpx.Client
    ) -> None:
        refused = asking.get(f"{server.url}/nowhere", headers=OVERRIDES)
        assert (refused.status_code, refused.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")

    def test_the_documents_show_no_address_of_theirs(self, server: Server, asking: httpx.Client) -> None:
        for path in ("/openapi.json", "/docs"):
            told, plain = asking.get(server.url + path, headers=OVERRIDES), asking.get(server.url + path)
            assert told.content == plain.content
            assert "evil" not in told.text


def without_date(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
