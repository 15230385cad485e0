"""Host names, Origins and credentials in URLs: what pages of other sites could misuse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.forwarded import Forwarded
from app.api.hosts import ANY_ADDRESS, Hosts
from app.api.visits import Visits, public_paths
from tests.support.access import bearer, token_stanza
from tests.support.access_log import complete_log
from tests.support.guarded import DENIED, audited, guarded, told
from tests.support.raw import exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

MISDIRECTED = (421, "INVALID_PARAMETER_VALUE")
BAD = (400, "INVALID_PARAMETER_VALUE")
FRIEND = "https://app.example.com"


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def asked(
    allowed: list[str] | None,
    *headers: tuple[str, str],
    origins: Sequence[str] = (),
    method: str = "GET",
    path: str = "/",
) -> int:
    """The status with which a server of these host names answers."""
    hosts = Hosts(inner, allowed or [], lambda: allowed is not None, list(origins))
    layers = Forwarded(Visits(hosts, public_paths("", with_ui=True), []), "127.0.0.1")
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    asyncio.run(layers(scope, receive, send))
    return statuses[0]


def until_written(audit: Path, text: str) -> None:
    wait_until(lambda: text in audit.read_text(), "it is written down")


class TestNames:
    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            (["ml.example.com"], "ml.example.com"),
            (["ml.example.com"], "ML.example.COM:8080"),
            (["ml.example.com"], "ml.example.com."),
            (["ML.Example.com."], "ml.example.com"),
            (["*.example.com"], "a.example.com"),
            (["*.example.com"], "a.b.example.com:1"),
            (["*"], "anything.test"),
            (["a", "b"], "b"),
            (["[::1]"], "[::1]:5500"),
            (["10.0.0.5"], "10.0.0.5:80"),
            ([ANY_ADDRESS], "192.0.2.7:5500"),
            ([ANY_ADDRESS], "[2001:db8::1]:5500"),
            ([ANY_ADDRESS, "localhost"], "localhost:5500"),
            (None, "anything at all"),
            (None, ""),
        ],
    )
    def test_own_names_are_served(self, allowed: list[str] | None, host: str) -> None:
        assert asked(allowed, ("Host", host)) == 200

    @pytest.mark.parametrize(
        ("allowed", "host"),
        [
            (["ml.example.com"], "evil.test"),
            (["ml.example.com"], "ml.example.com.evil.test"),
            (["ml.example.com"], "xml.example.com"),
            (["ml.example.com"], "ml.example.com:port"),
            (["ml.example.com"], "user@ml.example.com"),
            (["ml.example.com"], "ml.example.com/x"),
            (["ml.example.com"], "ml.example.com,evil.test"),
            (["ml.example.com"], "evil.test ml.example.com"),
            (["ml.example.com"], ""),
            (["*.example.com"], "example.com"),
            (["*.example.com"], "evilexample.com"),
            (["*.example.com"], "a.example.com.evil.test"),
            (["[::1]"], "[::2]"),
            (["[::1]"], "[::1"),
            ([ANY_ADDRESS], "rebound.evil.test"),
            ([ANY_ADDRESS], "127.0.0.1.evil.test"),
            ([ANY_ADDRESS], "0x7f000001"),
            (["*"], ""),
            (["*"], "a b@c"),
        ],
    )
    def test_others_are_not(self, allowed: list[str], host: str) -> None:
        assert asked(allowed, ("Host", host)) == 421
        assert asked(allowed, ("Host", host), path="/health") == 200

    @pytest.mark.parametrize("path", ["/", "/ui", "/ui/", "/ui/static/app.js"])
    def test_the_page_is_public_under_the_servers_own_names_alone(self, path: str) -> None:
        assert asked(["ml.example.com"], ("Host", "ml.example.com"), path=path) == 200
        assert asked(["ml.example.com"], ("Host", "evil.test"), path=path) == 421

    def test_without_a_host_there_is_no_name_to_trust(self) -> None:
        assert asked(["localhost"]) == 421
        assert asked(["localhost"], path="/health") == 200


class TestOrigins:
    OWN = ("Host", "ml.example.com:8443")

    @pytest.mark.parametrize(
        "origins",
        [["http://ml.example.com:8443"], ["https://ml.example.com:8443"], [FRIEND], [FRIEND, FRIEND], []],
    )
    def test_own_pages_and_friends_may_write(self, origins: list[str]) -> None:
        headers = [("Origin", origin) for origin in origins]
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            assert asked(None, self.OWN, *headers, origins=[FRIEND], method=method) == 200

    @pytest.mark.parametrize(
        "origins",
        [
            ["https://evil.test"],
            ["null"],
            [""],
            ["https://ml.example.com"],
            ["https://ml.example.com:8444"],
            ["http://app.example.com"],
            ["https://app.example.com.evil.test"],
            ["https://app.example.com:443"],
            ["ftp://ml.example.com:8443"],
            ["https://ml.example.com:port"],
            ["https://[::1"],
            ["https://ml.example.com:8443", "https://evil.test"],
            ["https://ml.example.com:8443", "https://ml.example.com:8443"],
            [f"{FRIEND}, https://evil.test"],
        ],
    )
    def test_others_may_not_but_may_ask(self, origins: list[str]) -> None:
        headers = [("Origin", origin) for origin in origins]
        for method in ("PUT", "POST", "DELETE", "PATCH"):
            assert asked(None, self.OWN, *headers, origins=[FRIEND], method=method) == 403
        assert asked(None, self.OWN, *headers, origins=[FRIEND]) == 200

    @pytest.mark.parametrize(
        ("origin", "host"),
        [
            ("https://ml.example.com", "ml.example.com"),
            ("https://ml.example.com", "ml.example.com:443"),
            ("http://ml.example.com:80", "ml.example.com"),
            ("http://[::1]:5500", "[::1]:5500"),
        ],
    )
    def test_a_port_that_is_the_default_may_be_left_out(self, origin: str, host: str) -> None:
        assert asked(None, ("Host", host), ("Origin", origin), method="PUT") == 200


class TestWithoutAnAccessFile:
    """Nobody is asked for a credential, so a page that has its name mean this server must get nothing."""

    def test_only_addresses_and_localhost_are_served(self, server: Server, client: httpx.Client) -> None:
        for host in ("rebound.evil.test", "127.0.0.1.evil.test:80", "x"):
            for path in ("/version", "/v1/artifacts/", "/none"):
                assert told(client.get(server.url + path, headers={"Host": host})) == MISDIRECTED
            assert client.get(f"{server.url}/health", headers={"Host": host}).is_success
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:1", "[::1]:5500", "192.0.2.1"):
            assert client.get(f"{server.url}/version", headers={"Host": host}).is_success

    def test_the_host_of_an_absolute_target_counts(self, server: Server) -> None:
        assert exchange(server.url, head("GET", "http://evil.test/version")).status == 421
        assert exchange(server.url, head("GET", "http://localhost/version")).status == 200

    def test_foreign_pages_change_nothing(self, server: Server, client: httpx.Client, folder: str) -> None:
        url = f"{server.native}/{folder}/a"
        assert client.put(url, content=b"x", headers={"Origin": server.url}).is_success
        for origin in ("https://evil.test", "null"):
            for method in ("PUT", "DELETE"):
                assert told(client.request(method, url, headers={"Origin": origin})) == DENIED
            got = client.get(url, headers={"Origin": origin})
            assert got.content == b"x"
            assert not [name for name in got.headers if name.startswith("access-control")]
        asked = {"Origin": "https://evil.test", "Access-Control-Request-Method": "PUT"}
        preflight = client.options(url, headers=asked)
        assert not [name for name in preflight.headers if name.startswith("access-control")]


@pytest.fixture(scope="module")
def token() -> tuple[str, str]:
    return token_stanza("ci", "all:")


@pytest.fixture(scope="module")
def known(token: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("hosts")
    flags = ["--allowed-hosts", "127.0.0.1, *.example.com", "--cors-allowed-origins", FRIEND]
    with guarded(directory, token[1], flags=[*flags, "--audit-log", str(directory / "audit.log")]) as server:
        yield server


class TestWithAnAccessFile:
    def test_names_are_judged_before_credentials(self, known: Server, client: httpx.Client) -> None:
        assert told(client.get(f"{known.url}/version", headers={"Host": "localhost"})) == MISDIRECTED
        assert client.get(f"{known.url}/version", headers={"Host": "ml.example.com"}).status_code == 401

    def test_a_browser_may_ask_for_a_friends_page_without_a_credential(
        self, known: Server, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        url = f"{known.native}/a"
        question = {
            "Origin": FRIEND,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization, if-match",
            "X-Request-Id": "preflight",
        }
        preflight = client.options(url, headers=question)
        assert preflight.status_code == 200
        audit = known.log_file.with_name("audit.log")
        until_written(audit, '"preflight"')
        assert preflight.headers["access-control-allow-origin"] == FRIEND
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert "access-control-allow-credentials" not in preflight.headers
        stored = client.put(url, content=b"x", headers=bearer(token[0]) | {"Origin": FRIEND})
        assert stored.is_success
        assert stored.headers["access-control-allow-origin"] == FRIEND
        assert "ETag" in stored.headers["access-control-expose-headers"]
        refused = client.get(url, headers={"Origin": FRIEND})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == FRIEND  # so that the page can read why

    @pytest.mark.parametrize(
        "question",
        [
            {"Access-Control-Request-Method": "PATCH"},
            {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-foo"},
        ],
        ids=["method", "header"],
    )
    def test_what_a_friends_page_may_not_send_is_refused_without_a_wrong_remedy(
        self, known: Server, client: httpx.Client, question: dict[str, str]
    ) -> None:
        preflight = client.options(f"{known.native}/a", headers={"Origin": FRIEND, **question})
        assert told(preflight) == DENIED
        assert preflight.json()["message"] == f"Pages of {FRIEND!r} may not send such a request."

    @pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://app.example.com.evil.test"])
    def test_no_other_page_is_let_in(
        self, known: Server, client: httpx.Client, token: tuple[str, str], origin: str
    ) -> None:
        question = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        preflight = client.options(f"{known.native}/a", headers=question)
        assert told(preflight) == DENIED
        assert not [name for name in preflight.headers if name.startswith("access-control")]
        for method in ("GET", "PUT"):
            headers = bearer(token[0]) | {"Origin": origin}
            got = client.request(method, f"{known.native}/a", headers=headers)
            assert "access-control-allow-origin" not in got.headers
            assert method == "GET" or told(got) == DENIED


class TestCredentialsInTheQuery:
    @pytest.mark.parametrize(
        "name", ["access_token", "token", "TOKEN", "api_key", "%74oken", "password", "X-Amz-Signature", "sig"]
    )
    def test_they_are_refused_and_never_written_down(
        self, known: Server, client: httpx.Client, token: tuple[str, str], name: str
    ) -> None:
        audit = known.log_file.with_name("audit.log")
        for headers in ({}, bearer(token[0])):
            for query in (f"{name}=canary-4711", f"path=d&{name}=canary-4711"):
                url = f"{known.mlflow}/artifacts?{query}"
                got = client.get(url, headers=headers)
                assert told(got) == BAD
                assert "Authorization header" in got.json()["message"]
                assert "canary-4711" not in got.text
                until_written(audit, got.headers["x-request-id"])
        assert "canary" not in complete_log(known)
        assert "canary" not in audit.read_text()
        assert {line["status"] for line in audited(audit)} >= {400}

    def test_nor_is_any_other_parameter_that_nobody_knows(
        self, known: Server, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        url = f"{known.mlflow}/artifacts?path=dir-4712&other=canary-4712"
        assert client.get(url, headers=bearer(token[0])).is_success
        log = complete_log(known)
        assert "?path=dir-4712 " in log
        assert "canary-4712" not in log
