"""Health, version, server-info, documentation, unknown routes, methods and the static prefix."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest

from app import __version__
from tests.support.raw import exchange, head
from tests.support.server import Server


def test_health_and_version_are_plain_text(server: Server, client: httpx.Client) -> None:
    for path, text in (("/health", "OK"), ("/version", __version__)):
        answer = client.get(server.url + path)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"].startswith("text/plain")
        assert client.head(server.url + path).status_code == 200


@pytest.mark.parametrize("prefix", ["/api", "/ajax-api"])
def test_server_info_promises_nothing_that_a_local_root_cannot_do(
    server: Server, client: httpx.Client, prefix: str
) -> None:
    info = client.get(f"{server.url}{prefix}/3.0/mlflow/server-info").json()
    for power in ("multipart_uploads_enabled", "multipart_downloads_enabled", "workspaces_enabled"):
        assert info[power] is False


def test_the_documentation_page_loads_nothing_from_elsewhere(server: Server, client: httpx.Client) -> None:
    page = client.get(f"{server.url}/docs").text
    links = re.findall(r'(?:href|src|url)["\']?[=:]\s*["\']([^"\']+)', page)
    assert "/openapi.json" in links
    assert len(links) >= 4
    for link in links:
        assert link.startswith("/"), link
        assert client.get(server.url + link).status_code == 200


@pytest.mark.parametrize(
    "path", ["/nope", "//", "/get-artifact?run_id=x&path=y", "/api/2.0/mlflow/artifacts/list?run_id=x", "/v1"]
)
def test_a_route_that_is_not_there_says_what_this_server_is(
    server: Server, client: httpx.Client, path: str
) -> None:
    for method in ("GET", "POST", "PUT"):
        answer = client.request(method, server.url + path)
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "ENDPOINT_NOT_FOUND"
        assert "serves artifacts only" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/artifacts/a", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/v1/artifacts/d/", "GET, HEAD, PUT, POST, DELETE, OPTIONS"),
        ("/api/2.0/mlflow-artifacts/artifacts", "GET, HEAD, OPTIONS"),
        ("/api/2.0/mlflow-artifacts/artifacts/a", "GET, HEAD, PUT, DELETE, OPTIONS"),
        ("/api/2.0/mlflow-artifacts/mpu/create/a", "POST, OPTIONS"),
        ("/health", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_is_not_there_is_405_with_those_that_are(
    server: Server, client: httpx.Client, path: str, allowed: str
) -> None:
    for method in ("TRACE", "PATCH", "PROPFIND"):
        answer = client.request(method, server.url + path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == allowed
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    options = client.request("OPTIONS", server.url + path, headers={"Origin": "http://evil.example"})
    assert (options.status_code, options.headers["allow"]) == (204, allowed)
    assert not [name for name in options.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["get", "FOO", "Put"])
def test_an_unknown_or_lower_case_method_is_refused(server: Server, method: str) -> None:
    answer = exchange(server.url, head(method, "/v1/artifacts/a", "Content-Length: 0"))
    assert answer.status in {400, 405, 501}


class TestStaticPrefix:
    def test_every_route_answers_below_it_and_without_it(
        self, serve: Callable[..., Server], client: httpx.Client
    ) -> None:
        server = serve("--static-prefix", "/team/mlflow")
        bare = server.url.removesuffix("/team/mlflow")
        assert bare != server.url
        for base in (server.url, bare):
            for path in ("/health", "/version", "/openapi.json", "/docs", "/api/3.0/mlflow/server-info"):
                assert client.get(base + path).status_code == 200, base + path
            stored = client.put(f"{base}/v1/artifacts/d/a b", content=base.encode())
            assert stored.is_success
            prefix = base.removeprefix(bare)
            assert stored.headers["location"] == f"{prefix}/v1/artifacts/d/a%20b"
            assert client.get(f"{base}/api/2.0/mlflow-artifacts/artifacts/d/a%20b").text == base
            assert client.get(f"{base}/ajax-api/2.0/mlflow-artifacts/artifacts?path=d").json()["files"]
        assert client.get(f"{server.url}/openapi.json").json()["servers"] == [{"url": "/team/mlflow"}]
        assert client.get(f"{bare}/team/mlflowx/health").status_code == 404
        assert client.get(f"{bare}/team%2Fmlflow/health").status_code == 404
        page = client.get(f"{server.url}/docs").text
        assert "/team/mlflow/openapi.json" in page
        assert "/team/mlflow/docs/static/" in page


class TestModes:
    def test_read_only_refuses_writes_and_deletions_and_serves_reads(
        self, serve: Callable[..., Server], client: httpx.Client
    ) -> None:
        writer = serve()
        client.put(f"{writer.native}/d/a", content=b"data")
        before = writer.tree()
        reader = serve("--read-only", root=writer.root)
        for method in ("PUT", "DELETE"):
            for base in (reader.native, f"{reader.mlflow}/artifacts"):
                answer = client.request(method, f"{base}/d/a", content=b"new")
                assert (answer.status_code, answer.json()["error_code"]) == (403, "PERMISSION_DENIED")
                assert "--read-only" in answer.json()["message"]
        assert client.get(f"{reader.native}/d/a").content == b"data"
        assert len(client.get(f"{reader.native}/d/").json()["entries"]) == 1
        assert writer.tree() == before

    def test_no_delete_refuses_deletions_only(
        self, serve: Callable[..., Server], client: httpx.Client
    ) -> None:
        server = serve("--no-delete")
        assert client.put(f"{server.native}/a", content=b"1").status_code == 201
        assert client.put(f"{server.native}/a", content=b"2").status_code == 200
        answer = client.delete(f"{server.native}/a")
        assert answer.status_code == 403
        assert "--no-delete" in answer.json()["message"]
        assert server.tree() == {"a": b"2"}
