"""What every answer carries: a request id and the headers of security, whoever makes the answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app import config
from app.api.records import shown_query
from app.main import create_app, open_storage
from app.paths import ArtifactPath
from app.storage.entry import Entry
from tests.support.access import bearer, token_stanza
from tests.support.guarded import audited, guarded, told
from tests.support.raw import Answer, exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.fixture(scope="module")
def token() -> tuple[str, str]:
    return token_stanza("ci", "all:", deny=["write:"])


@pytest.fixture(scope="module")
def known(token: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ["--max-target-size", "1024", "--max-header-size", "8192"]
    with guarded(tmp_path_factory.mktemp("visits"), token[1], flags=flags) as server:
        yield server


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "7f9c2ba4-e88f-4e5b", "A.b_c-1", "x" * 64])
    def test_one_that_can_be_used_is_given_back(
        self, known: Server, client: httpx.Client, given: str
    ) -> None:
        for path in ("/health", "/v1/artifacts/", "/none"):
            got = client.get(known.url + path, headers={"X-Request-Id": given})
            assert got.headers.get_list("x-request-id") == [given]

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "ä", '"><script>', "a,b", "a;b", "%0a"])
    def test_another_is_replaced(self, known: Server, client: httpx.Client, given: str) -> None:
        got = client.get(f"{known.url}/version", headers=[(b"X-Request-Id", given.encode())])
        assert re.fullmatch("[0-9a-f]{32}", got.headers["x-request-id"])

    def test_each_request_has_one_of_its_own(
        self, known: Server, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        answers = [
            client.get(f"{known.url}/health"),
            client.get(f"{known.native}/"),
            client.get(f"{known.native}/", headers=bearer(token[0])),
            client.get(f"{known.native}/none", headers=bearer(token[0])),
            client.put(f"{known.native}/a", headers=bearer(token[0])),
        ]
        assert [got.status_code for got in answers] == [200, 401, 200, 404, 403]
        assert len({got.headers["x-request-id"] for got in answers}) == len(answers)
        for refused in answers:
            if refused.is_error:
                assert refused.json()["request_id"] == refused.headers["x-request-id"]


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            *(("GET", "/health", 200), ("HEAD", "/health", 200), ("GET", "/version", 200)),
            *(("GET", "/v1/artifacts/", 200), ("GET", "/v1/artifacts/none", 404), ("GET", "/none", 404)),
            *(("PUT", "/v1/artifacts/a", 403), ("PATCH", "/version", 405), ("OPTIONS", "/version", 204)),
            *(("GET", "/docs/static/none", 404), ("GET", "/docs/static/swagger-ui.css", 200)),
        ],
    )
    def test_they_are_on_every_answer(
        self,
        *,
        known: Server,
        client: httpx.Client,
        token: tuple[str, str],
        method: str,
        path: str,
        status: int,
    ) -> None:
        got = client.request(method, known.url + path, headers=bearer(token[0]))
        assert got.status_code == status
        self.judge(dict(got.headers))
        assert got.headers.get_list("content-security-policy") == [POLICY]

    @pytest.mark.parametrize(
        ("request_head", "status"),
        [
            (b"nonsense\r\n\r\n", 400),
            (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
            (head("GET", "/" + "x" * 2000), 414),
            (head("GET", "/", f"X-Large: {'x' * 10_000}"), 431),
            (head("GET", "/", "Host: second"), 400),
            (head("GET", "/", "Transfer-Encoding: gzip"), 400),
            (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ],
    )
    def test_also_where_there_is_no_request_yet(
        self, known: Server, request_head: bytes, status: int
    ) -> None:
        answer: Answer = exchange(known.url, request_head)
        assert answer.status == status
        self.judge(answer.headers)
        assert answer.headers["content-security-policy"] == POLICY
        said = json.loads(answer.body)
        assert said.keys() == {"error_code", "message", "request_id"}
        assert re.fullmatch("[0-9a-f]{32}", said["request_id"])
        assert said["request_id"] == answer.headers["x-request-id"]
        wait_until(lambda: f"[{said['request_id']}] Refused" in known.log(), "it is written down")

    def test_an_artifact_has_a_stricter_policy_and_pages_have_their_own(
        self, known: Server, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        (known.root / "page.html").write_text("<script>alert(1)</script>")
        got = client.get(f"{known.native}/page.html", headers=bearer(token[0]))
        self.judge(dict(got.headers))
        assert got.headers.get_list("content-security-policy") == ["sandbox; default-src 'none'"]
        assert got.headers["content-disposition"].startswith("attachment")

    def judge(self, headers: dict[str, str]) -> None:
        assert SECURITY.items() <= headers.items()
        assert "server" not in headers
        assert "x-powered-by" not in headers


class TestDefects:
    """A defect of ours is told like all else, and tells nothing of itself."""

    @pytest.fixture
    def got(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> httpx.Response:
        values = {"default_artifact_root": str(tmp_path / "root"), "audit_log": str(tmp_path / "audit.log")}
        settings = config.load(values, None).settings

        def stat(path: ArtifactPath) -> Entry:
            raise RuntimeError("a secret defect")

        async def head() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
            ):
                return await client.get("/v1/artifacts/a", headers={"X-Request-Id": "mine"})

        with closing(open_storage(settings, prepare=True)) as storage:
            monkeypatch.setattr(storage, "read", stat)
            app = create_app(settings, storage)
            return asyncio.run(head())

    def test_the_answer_has_the_request_id(self, got: httpx.Response) -> None:
        assert told(got) == (500, "INTERNAL_ERROR")
        assert got.headers["x-request-id"] == got.json()["request_id"] == "mine"
        assert got.headers["content-security-policy"] == POLICY
        assert "secret" not in got.text

    def test_the_audit_log_has_it_as_a_failure(self, got: httpx.Response, tmp_path: Path) -> None:
        [line] = audited(tmp_path / "audit.log")
        assert (line["request_id"], line["outcome"], line["status"]) == ("mine", "failed", 500)
        assert line["error"] == "INTERNAL_ERROR"
        assert line["bytes_out"] == len(got.content)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"", b""),
        (b"path=a/b", b"path=a/b"),
        (b"path=a&recursive=true&max_results=1", b"path=a&recursive=true&max_results=1"),
        (b"token=secret", b""),
        (b"x=secret&path=a&y=secret", b"path=a"),
        (b"secret", b""),
        (b"Path=secret", b""),
        (b"p%61th=a", b"p%61th=a"),
    ],
)
def test_logs_show_of_a_query_what_is_known_to_be_harmless(query: bytes, shown: bytes) -> None:
    assert shown_query(query) == shown
