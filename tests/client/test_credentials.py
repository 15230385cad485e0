"""Who the client says it is, to whom, and to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from artifact_proxy import ArtifactError, Client, ConfigurationError, NotPermitted
from tests.support.access import basic, bearer, token_stanza
from tests.support.guarded import guarded
from tests.support.loopback import listening


class Recording:
    """A server that answers every request with an empty listing, or sends it elsewhere, and remembers it."""

    def __init__(self, stack: ExitStack) -> None:
        self.seen: list[dict[str, str]] = []
        self.location: str | None = None
        self.artifact_uri: str | None = None
        """Of all runs, to whoever takes it for a tracking server."""
        self.url = stack.enter_context(listening(self._handler()))

    @property
    def credential(self) -> str | None:
        """Of the last request."""
        return self.seen[-1].get("Authorization")

    def _handler(recording) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                recording.seen.append(dict(self.headers.items()) | {"method": self.command})
                body = b'{"path": "", "entries": [], "next_page_token": null}'
                if self.path.startswith("/api/2.0/mlflow/runs/get"):
                    body = json.dumps({"run": {"info": {"artifact_uri": recording.artifact_uri}}}).encode()
                if recording.location is None:
                    self.send_response(200)
                    self.send_header("ETag", '"x"')
                else:
                    body = b""
                    self.send_response(307)
                    self.send_header("Location", recording.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        return Handler


@pytest.fixture
def servers() -> Iterator[tuple[Recording, Recording]]:
    with ExitStack() as stack:
        yield Recording(stack), Recording(stack)


@pytest.fixture
def recording(servers: tuple[Recording, Recording]) -> Recording:
    return servers[0]


def sent(recording: Recording, token: str | None = None) -> str | None:
    """The credential with which a client comes."""
    with Client(recording.url, token) as client:
        list(client.list())
    return recording.credential


class TestWhichOne:
    def test_without_any_there_is_none(self, recording: Recording) -> None:
        assert sent(recording) is None

    def test_the_first_of_these_is_taken(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
        netrc.chmod(0o600)
        assert sent(recording) == basic("from-netrc", "me")["Authorization"]
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "you")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "of-mlflow")
        assert sent(recording) == basic("of-mlflow", "you")["Authorization"]
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "mlflow")
        assert sent(recording) == "Bearer mlflow"
        monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", "own\n")
        assert sent(recording) == "Bearer own"
        assert sent(recording, "given") == "Bearer given"

    def test_a_netrc_may_be_elsewhere(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "n").write_text(
            "machine other login a password b\nmachine 127.0.0.1 login a password c\n"
        )
        monkeypatch.setenv("NETRC", str(tmp_path / "n"))
        assert sent(recording) == basic("c", "a")["Authorization"]

    def test_that_of_another_host_is_not_sent(self, recording: Recording, tmp_path: Path) -> None:
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text("machine other login me password secret\n")
        netrc.chmod(0o600)
        assert sent(recording) is None

    @pytest.mark.parametrize(
        ("content", "says"),
        [(None, "is not there"), ("nonsense x", "no netrc file"), ("\xff\xfe", "cannot be read")],
    )
    def test_a_netrc_that_cannot_be_used_is_said(
        self,
        recording: Recording,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        content: str | None,
        says: str,
    ) -> None:
        if content is not None:
            (tmp_path / "n").write_text(content, "latin-1")
        monkeypatch.setenv("NETRC", str(tmp_path / "n"))
        with pytest.raises(ConfigurationError, match=says):
            sent(recording)

    @pytest.mark.parametrize("token", ["", " ", "a b", "a\nb", "tökn"])
    def test_what_is_no_token_is_refused_without_being_shown(self, recording: Recording, token: str) -> None:
        with pytest.raises(ConfigurationError, match="is no token") as caught:
            sent(recording, token)
        assert not token.strip() or token not in str(caught.value)
        assert recording.seen == []

    def test_none_may_stand_in_the_url(self) -> None:
        with pytest.raises(ConfigurationError, match="ARTIFACT_PROXY_TOKEN") as caught:
            list(Client("http://user:secret@127.0.0.1:1").list())
        assert "secret" not in str(caught.value)


class TestServer:
    def test_lets_in_whom_it_knows(self, tmp_path: Path) -> None:
        token, stanza = token_stanza("reader", "read,list:")
        with guarded(tmp_path, stanza) as server, Client(server.url, token) as client:
            assert list(client.list()) == []
            with pytest.raises(NotPermitted, match="may not write"):
                client.put_bytes(b"x", "a")
            for stranger in (Client(server.url), Client(server.url, "apx_none")):
                with stranger, pytest.raises(NotPermitted) as caught:
                    stranger.stat("a")
                assert (caught.value.status, caught.value.code) == (401, "UNAUTHENTICATED")

    def test_of_the_environment_is_taken_where_none_is_given(
        self, recording: Recording, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ARTIFACT_PROXY_SERVER", f"{recording.url}/")
        with Client() as client:
            assert list(client.list()) == []
            assert client.url("a b/c") == f"{recording.url}/v1/artifacts/a%20b/c"
        monkeypatch.delenv("ARTIFACT_PROXY_SERVER")
        with pytest.raises(ConfigurationError, match="No server is named; set ARTIFACT_PROXY_SERVER"):
            Client().stat("a")

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:5500", "ftp://host", "http://", "http://host:x", "http://[::1", "http://host/?a=b"]
    )
    def test_that_is_no_url_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match="URL"):
            Client(url).stat("a")

    def test_whom_mlflow_names_gets_no_token_of_the_named_one(
        self, servers: tuple[Recording, Recording], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named, other = servers
        monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", "own")
        with Client(named.url, "given") as client:
            list(client.list(f"{other.url}/v1/artifacts/a"))
            list(client.list(f"{named.url}/v1/artifacts/a"))
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "mlflow")
        with Client(named.url) as client:
            list(client.list(f"{other.url}/v1/artifacts/a"))
        with Client() as client:
            list(client.list(f"{other.url}/v1/artifacts/a"))
        assert [request.get("Authorization") for request in named.seen] == ["Bearer given"]
        assert [request.get("Authorization") for request in other.seen] == [
            None,
            "Bearer mlflow",
            "Bearer own",
        ]

    def test_whom_the_tracking_server_names_gets_no_token_where_none_is_named(
        self, servers: tuple[Recording, Recording], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracking, told = servers
        tracking.artifact_uri = f"{told.url}/v1/artifacts/1"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url)
        monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", "own")
        for token in (None, "given"):
            with Client(token=token) as client:
                list(client.list("runs:/1/a"))
                list(client.list(f"{told.url}/v1/artifacts/a"))  # which was typed
                list(client.list("runs:/1/a"))
        assert [request.get("Authorization") for request in told.seen] == [
            *(None, "Bearer own", None),
            *(None, "Bearer given", None),
        ]
        assert {request.get("Authorization") for request in tracking.seen} == {None}

    def test_that_is_named_gets_its_token_from_whomever_it_was_told_of(
        self, servers: tuple[Recording, Recording], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tracking, named = servers
        tracking.artifact_uri = f"{named.url}/v1/artifacts/1"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url)
        with Client(named.url, "given") as client:
            list(client.list("runs:/1/a"))
        assert [request.get("Authorization") for request in named.seen] == ["Bearer given"]


class TestRedirect:
    def test_to_somebody_else_is_followed_without_the_credential(
        self, servers: tuple[Recording, Recording]
    ) -> None:
        first, second = servers
        first.location = f"{second.url}/secret?signature=x"
        with Client(first.url, "own") as client:
            assert client.read("a").startswith(b"{")
        assert first.credential == bearer("own")["Authorization"]
        assert second.credential is None

    def test_to_the_same_server_keeps_it(self, servers: tuple[Recording, Recording]) -> None:
        first, second = servers
        first.location = "/elsewhere"
        with (
            Client(first.url, "own", retries=0) as client,
            pytest.raises(ArtifactError, match="again and again"),
        ):
            client.read("a")
        assert {request.get("Authorization") for request in first.seen} == {"Bearer own"}
        assert len(first.seen) == 6
        assert second.seen == []

    def test_of_an_upload_is_not_followed(self, servers: tuple[Recording, Recording]) -> None:
        first, second = servers
        first.location = f"{second.url}/x"
        with (
            Client(first.url, "own") as client,
            pytest.raises(ArtifactError, match="name that server instead"),
        ):
            client.put_bytes(b"x", "a")
        assert second.seen == []

    @pytest.mark.parametrize("location", ["ftp://host/secret", "file:///etc/passwd", "http://[secret"])
    def test_to_what_is_no_server_is_an_error_that_shows_nothing(
        self, recording: Recording, location: str
    ) -> None:
        recording.location = location
        with Client(recording.url) as client, pytest.raises(ArtifactError, match="no URL of HTTP") as caught:
            client.read("a")
        assert "secret" not in str(caught.value)
