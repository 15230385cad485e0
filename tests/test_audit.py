"""The audit log: who did what from where, and what came of it; one line each, and no secret in it."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.access import basic, bearer, token_stanza
from tests.support.guarded import audited, guarded
from tests.support.raw import connection, exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

SIZE = 30_000_000


@pytest.fixture(scope="module")
def token() -> tuple[str, str]:
    return token_stanza("ci", "all:", deny=["read:hidden"])


@pytest.fixture(scope="module")
def known(token: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("audit")
    with guarded(directory, token[1], flags=["--audit-log", str(directory / "audit.log")]) as server:
        (server.root / "large").write_bytes(bytes(SIZE))
        yield server


@pytest.fixture
def log(known: Server) -> Path:
    return known.log_file.with_name("audit.log")


def line_of(log: Path, request_id: str) -> dict[str, Any]:
    """The one line that a request has left."""
    wait_until(lambda: f'"{request_id}"' in log.read_text(), "the request is written down")
    [line] = [each for each in audited(log) if each.get("request_id") == request_id]
    return line


class TestLines:
    def test_each_request_leaves_one_that_says_all(
        self, known: Server, log: Path, client: httpx.Client, token: tuple[str, str], folder: str
    ) -> None:
        content = bytes(1234)
        headers = bearer(token[0]) | {"X-Request-Id": "upload-1", "User-Agent": "mine/1"}
        client.put(f"{known.native}/{folder}/a", content=content, headers=headers).raise_for_status()
        line = line_of(log, "upload-1")
        assert line.pop("time").endswith("+00:00")
        assert 0 <= line.pop("seconds") < 20
        assert line.pop("bytes_out") > 0
        assert line == {
            "event": "request",
            "request_id": "upload-1",
            "who": {"kind": "token", "name": "ci"},
            "from": "127.0.0.1",
            "peer": "127.0.0.1",
            "method": "PUT",
            "target": f"/v1/artifacts/{folder}/a",
            "action": "write",
            "path": f"{folder}/a",
            "outcome": "done",
            "status": 201,
            "error": None,
            "bytes_in": 1234,
            "user_agent": "mine/1",
        }

    @pytest.mark.parametrize(
        ("method", "path", "action", "outcome", "status", "bytes_out"),
        [
            ("GET", "large", "read", "done", 200, SIZE),
            ("HEAD", "large", "read", "done", 200, 0),
            ("HEAD", "none", "read", "failed", 404, 0),
            ("GET", "none", "read", "failed", 404, None),
            ("GET", "hidden/x", "read", "denied", 403, None),
            ("GET", "", "list", "done", 200, None),
            ("DELETE", "none", "delete", "done", 204, 0),
        ],
    )
    def test_they_tell_the_action_its_outcome_and_its_bytes(
        self,
        *,
        known: Server,
        log: Path,
        client: httpx.Client,
        token: tuple[str, str],
        folder: str,
        method: str,
        path: str,
        action: str,
        outcome: str,
        status: int,
        bytes_out: int | None,
    ) -> None:
        headers = bearer(token[0]) | {"X-Request-Id": folder[-60:]}
        got = client.request(method, f"{known.native}/{path}", headers=headers)
        line = line_of(log, folder[-60:])
        assert (line["action"], line["path"], line["outcome"], line["status"]) == (
            action,
            path,
            outcome,
            status,
        )
        assert line["bytes_out"] == len(got.content) == (len(got.content) if bytes_out is None else bytes_out)

    def test_who_is_not_known_leaves_one_too(
        self, known: Server, log: Path, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        for number, headers in enumerate([{}, bearer("apx_wrong"), {"Authorization": "Basic x"}]):
            request_id = f"unknown-{number}"
            client.put(f"{known.native}/a", headers=headers | {"X-Request-Id": request_id})
            line = line_of(log, request_id)
            assert (line["who"], line["outcome"], line["status"]) == (None, "unauthenticated", 401)
            assert line["error"] == "UNAUTHENTICATED"

    def test_an_upload_that_broke_off_is_aborted(
        self, known: Server, log: Path, token: tuple[str, str], folder: str
    ) -> None:
        with connection(known.url) as connected:
            fields = (f"Authorization: Bearer {token[0]}", "X-Request-Id: broken-upload", "Content-Length: 9")
            connected.sendall(head("PUT", f"/v1/artifacts/{folder}/a", *fields) + b"1234")
            wait_until(known.staged, "the upload has begun")
        line = line_of(log, "broken-upload")
        assert (line["outcome"], line["bytes_in"], line["action"]) == ("aborted", 4, "write")

    def test_so_is_a_download_that_broke_off(self, known: Server, log: Path, token: tuple[str, str]) -> None:
        with connection(known.url) as connected:
            fields = (f"Authorization: Bearer {token[0]}", "X-Request-Id: broken-download")
            connected.sendall(head("GET", "/v1/artifacts/large", *fields))
            assert connected.recv(1000)
        line = line_of(log, "broken-download")
        assert (line["outcome"], line["status"]) == ("aborted", 200)
        assert 0 < line["bytes_out"] < SIZE

    @pytest.mark.parametrize("path", ["health", "ready"])
    def test_checks_of_the_health_leave_none(
        self, known: Server, log: Path, client: httpx.Client, token: tuple[str, str], path: str
    ) -> None:
        told = client.get(f"{known.url}/{path}", headers={"X-Request-Id": f"check-{path}"})
        assert told.status_code == 200
        after = {"X-Request-Id": f"after-{path}"}
        client.get(f"{known.url}/version", headers=bearer(token[0]) | after)
        line_of(log, f"after-{path}")
        assert f"check-{path}" not in log.read_text()

    def test_behind_a_proxy_both_addresses_are_there(
        self, known: Server, log: Path, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        headers = bearer(token[0]) | {"X-Request-Id": "proxied", "X-Forwarded-For": "203.0.113.7"}
        client.get(f"{known.url}/version", headers=headers)
        line = line_of(log, "proxied")
        assert (line["from"], line["peer"]) == ("203.0.113.7", "127.0.0.1")

    @pytest.mark.parametrize(
        "dirt", [b'"}\\n{"event":"forged"}', b"\xe2\x80\xae\xe2\x80\xa8", b"\x80\xff", b"\x1b[31m", b"\x7f"]
    )
    def test_nobodys_words_make_lines_of_their_own(
        self, known: Server, log: Path, token: tuple[str, str], folder: str, dirt: bytes
    ) -> None:
        before = log.read_bytes().count(b"\n")
        fields = (f"Authorization: Bearer {token[0]}", "Connection: close")
        request = head("GET", "/v1/artifacts/TARGET", *fields, "User-Agent: AGENT", "X-Request-Id: GIVEN")
        escaped = "".join(f"%{byte:02x}" for byte in dirt).encode()
        request = request.replace(b"TARGET", b"x" + escaped).replace(b"AGENT", dirt).replace(b"GIVEN", dirt)
        status = exchange(known.url, request).status
        parsed = exchange(known.url, request.replace(b"User-Agent: " + dirt, b"User-Agent: x")).status
        assert {status, parsed} <= {400, 404}
        marked = head("GET", "/version", f"Authorization: Bearer {token[0]}", f"X-Request-Id: {folder[-60:]}")
        exchange(known.url, marked)
        line_of(log, folder[-60:])
        written = log.read_bytes()
        assert all(0x20 <= byte < 0x7F or byte == 0x0A for byte in written)
        assert written.count(b"\n") - before <= 3
        assert {line["event"] for line in audited(log)} == {"request"}

    def test_none_is_longer_than_a_pipe_takes_in_one_piece(
        self, known: Server, log: Path, token: tuple[str, str]
    ) -> None:
        dirt = "\U0001f600" * 200
        name = dirt.encode()
        fields = (
            f"Authorization: Bearer {token[0]}",
            "X-Request-Id: long",
            "User-Agent: AGENT",
            "X-Forwarded-For: FROM",
        )
        request = head("GET", "/v1/artifacts/" + "/".join(["%f0%9f%98%80" * 60] * 4), *fields)
        request = request.replace(b"AGENT", name).replace(b"FROM", name * 50)
        exchange(known.url, request)
        line = line_of(log, "long")
        assert line["path"].endswith("…")
        assert line["path"].startswith("\U0001f600" * 50)
        assert max(map(len, log.read_bytes().splitlines())) < 4096

    def test_no_secret_is_in_any_log(
        self, known: Server, log: Path, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        bad = token[0][:-8] + "canary00"
        secrets = [token[0], bad, base64.b64encode(f"user:{bad}".encode()).decode(), "canary-cookie"]
        for number, headers in enumerate(
            [bearer(token[0]), basic(token[0]), bearer(bad), basic(bad, "user")]
        ):
            request_id = {"X-Request-Id": f"secret-{number}", "Cookie": "session=canary-cookie"}
            for method in ("GET", "PUT"):
                url = f"{known.native}/hidden/x"
                got = client.request(method, url, headers=headers | request_id)
                assert not [secret for secret in secrets if secret in got.text]
        wait_until(lambda: "secret-3" in log.read_text(), "all is written down")
        for text in (known.log(), log.read_text()):
            assert not [secret for secret in secrets if secret in text]
            assert "canary" not in text


def test_that_a_server_is_not_ready_leaves_no_line(
    client: httpx.Client, token: tuple[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    flags = ["--audit-log", str(log), "--disk-reserve", str(1 << 60)]
    with guarded(tmp_path, token[1], flags=flags) as server:
        told = client.get(f"{server.url}/ready", headers={"X-Request-Id": "not-ready"})
        assert told.status_code == 503
        refused = client.put(f"{server.native}/a", content=b"x", headers={"X-Request-Id": "no-token"})
        assert refused.status_code == 401
        line_of(log, "no-token")
        assert "not-ready" not in log.read_text()


def test_only_owner_and_group_can_read_it(known: Server, log: Path) -> None:
    assert stat.S_IMODE(log.stat().st_mode) == 0o640


def test_several_requests_over_one_connection_leave_one_line_each(
    known: Server, log: Path, token: tuple[str, str]
) -> None:
    requests = [
        head("GET", "/version", f"Authorization: Bearer {token[0]}", f"X-Request-Id: piped-{number}")
        for number in range(3)
    ]
    with connection(known.url) as connected:
        connected.sendall(b"".join(requests))
        answered = b""
        while answered.count(b"HTTP/1.1 200") < 3:
            answered += connected.recv(10_000)
    for number in range(3):
        assert line_of(log, f"piped-{number}")["outcome"] == "done"
