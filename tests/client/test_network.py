"""The way to the server: certificates, proxies, redirects of the operator, and what is said where it ends."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from artifact_proxy import Client, ConfigurationError, Unavailable, retrying
from tests.support.client_command import Run
from tests.support.interposer import Interposer, interposing
from tests.support.interposer_actions import answer, hang, refuse
from tests.support.loopback import listening
from tests.support.ports import free_ports
from tests.support.private_authority import PrivateAuthority
from tests.support.server import Server


@pytest.fixture(scope="module")
def url(server: Server, authority: PrivateAuthority) -> Iterator[str]:
    """Of a server with a certificate that nobody trusts by itself."""
    with interposing(server.url, authority.tls) as secured:
        yield secured.url


class TestCertificate:
    @pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
    def test_of_a_private_authority_is_trusted_where_a_variable_says_so(
        self,
        url: str,
        authority: PrivateAuthority,
        monkeypatch: pytest.MonkeyPatch,
        folder: str,
        variable: str,
    ) -> None:
        monkeypatch.setenv(variable, str(authority.ca_file))
        with Client(url) as client:
            client.put_bytes(b"x", f"{folder}/a")
            assert client.read(f"{folder}/a") == b"x"

    def test_is_else_not_trusted_and_nothing_is_tried_again(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Client(url) as client, pytest.raises(Unavailable, match="its certificate is not trusted"):
            client.stat("a")
        assert caplog.records == []

    @pytest.mark.parametrize("content", [None, "nonsense"])
    def test_of_which_the_file_cannot_be_used_is_said(
        self, url: str, monkeypatch: pytest.MonkeyPatch, place: Path, content: str | None
    ) -> None:
        if content is not None:
            (place / "ca.pem").write_text(content)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "ca.pem")
        with (
            Client(url) as client,
            pytest.raises(ConfigurationError, match=r"REQUESTS_CA_BUNDLE='ca\.pem' cannot"),
        ):
            client.stat("a")


class TestProxy:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str | None]]]:
        """What the proxy of the environment was asked for, and with which credential."""
        seen: list[tuple[str, str | None]] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                seen.append((f"{self.command} {self.path}", self.headers.get("Proxy-Authorization")))
                self.send_response(502 if self.command == "CONNECT" else 200)
                self.end_headers()
                self.wfile.write(b'{"entries": [], "next_page_token": null}')

            do_GET = do_CONNECT = answer

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        with listening(Handler) as url:
            with_login = url.replace("http://", "http://me:p%40ss@")
            monkeypatch.setenv("http_proxy", with_login)
            monkeypatch.setenv("HTTPS_PROXY", url)
            yield seen

    def test_is_used_for_what_it_is_meant_for(self, asked: list[tuple[str, str | None]]) -> None:
        with Client("http://artifacts.example") as client:
            assert list(client.list("d")) == []
        credential = "Basic " + base64.b64encode(b"me:p@ss").decode()
        assert asked == [("GET http://artifacts.example/v1/artifacts/d/?max_results=5000", credential)]

    def test_is_asked_for_a_tunnel_to_a_server_with_tls(self, asked: list[tuple[str, str | None]]) -> None:
        with (
            Client("https://artifacts.example", retries=0) as client,
            pytest.raises(Unavailable, match=r"cannot be reached: .*502"),
        ):
            list(client.list())
        assert asked == [("CONNECT artifacts.example:443", None)]

    def test_is_passed_by_where_no_proxy_says_so(
        self, asked: list[tuple[str, str | None]], server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,other.example")
        with Client(server.url) as client:
            assert client.stat("").is_dir
            list(client.list("none"))
        assert asked == []

    def test_that_is_none_of_http_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        with (
            Client("http://artifacts.example") as client,
            pytest.raises(ConfigurationError, match="'socks5'"),
        ):
            client.stat("a")


class TestFailure:
    def test_of_a_server_that_is_not_there_is_said_after_some_attempts(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        (port,) = free_ports(1)
        with (
            Client(f"http://127.0.0.1:{port}", retries=2) as client,
            pytest.raises(
                Unavailable, match=f"http://127.0.0.1:{port} cannot be reached: Connection refused."
            ),
        ):
            client.stat("a")
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 2
        assert all("Connection refused. Trying again in" in line for line in said)

    def test_of_a_name_that_nobody_knows_is_said(self) -> None:
        with (
            Client("http://nobody.invalid", retries=0) as client,
            pytest.raises(Unavailable, match=r"http://nobody\.invalid:80 cannot"),
        ):
            client.stat("a")

    def test_of_a_server_that_is_silent_is_said(self, front: Interposer, folder: str) -> None:
        front.on(lambda request: folder in request.target, hang)
        with (
            Client(front.url, retries=0, timeout=0.3) as client,
            pytest.raises(Unavailable, match="silent for too long"),
        ):
            client.stat(f"{folder}/a")
        front.forget_rules()


class TestWaiting:
    @pytest.mark.parametrize(
        ("told", "least"),
        [
            ("7", 7),
            ("100000", 120),
            ("0", 0),
            ("soon", 0),
            ("Sat, 15 Nov 2994 08:12:31 GMT", 120),
            ("Tue, 15 Nov 1994 08:12:31 GMT", 0),
        ],
    )
    def test_is_as_long_as_the_server_wishes_within_reason(
        self,
        front: Interposer,
        through: Client,
        folder: str,
        monkeypatch: pytest.MonkeyPatch,
        told: str,
        least: float,
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("artifact_proxy.stopping.sleep", slept.append)
        front.on(lambda request: request.method == "GET", answer(429, headers={"Retry-After": told}))
        assert list(through.list(folder)) == []
        (seconds,) = slept
        assert least <= seconds <= least + 0.01

    def test_gets_longer_and_half_of_it_is_chance(self, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[object] = []
        monkeypatch.setattr("artifact_proxy.stopping.sleep", slept.append)
        monkeypatch.setattr(retrying, "_FIRST_SECONDS", 1.0)
        monkeypatch.setattr("random.uniform", lambda least, most: (least, most))
        monkeypatch.setattr(retrying.logger, "disabled", True)  # pairs are no numbers for it
        patience = retrying.Patience(7)
        for _ in range(7):
            patience.wait(Unavailable("not now"))
        assert slept == [(0.5, 1), (1, 2), (2, 4), (4, 8), (8, 16), (15, 30), (15, 30)]
        with pytest.raises(Unavailable, match="not now"):
            patience.wait(Unavailable("not now"))

    def test_outlives_a_server_that_starts_anew(
        self, run: Run, front: Interposer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("artifact_proxy.stopping.sleep", slept.append)
        monkeypatch.setattr(retrying, "_FIRST_SECONDS", 1.0)
        monkeypatch.setattr("random.uniform", lambda least, most: least)
        front.on(lambda request: True, refuse, times=None)
        with Client(front.url) as client, pytest.raises(Unavailable):
            client.stat("a")
        by_itself = sum(slept)
        assert run("stat", "a", "--server", front.url).status == 6
        front.forget_rules()
        assert sum(slept) == 2 * by_itself
        assert by_itself > 15
