"""Methods that the documents do not have: 405 with those that they have, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from tests.support.guarded import told
from tests.support.server import Server

ALLOWED = "GET, HEAD, OPTIONS"
PATHS = (
    *("/docs", "/docs/static/swagger-ui.css", "/docs/static/none", "/docs/static/", "/openapi.json"),
    *("/", "/ui", "/ui/", "/ui/static/favicon.svg", "/ui/static/none", "/v1/login"),
)
OTHERS = ("PUT", "POST", "DELETE", "PATCH", "TRACE", "PROPFIND")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", OTHERS)
def test_other_methods_are_405_with_those_that_are_there(
    server: Server, client: httpx.Client, path: str, method: str
) -> None:
    content = b"x" if method in {"PUT", "POST"} else None
    refused = client.request(method, server.url + path, content=content)
    assert told(refused) == (405, "INVALID_PARAMETER_VALUE")
    assert refused.headers["allow"] == ALLOWED
    assert ALLOWED in refused.json()["message"]


@pytest.mark.parametrize("path", PATHS)
def test_options_tells_them(server: Server, client: httpx.Client, path: str) -> None:
    options = client.options(server.url + path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, ALLOWED, b"")


@pytest.mark.parametrize(
    "path", ["/docs", "/docs/static/swagger-ui.css", "/openapi.json", "/ui", "/ui/static/favicon.svg"]
)
def test_head_is_get_without_the_body(server: Server, client: httpx.Client, path: str) -> None:
    got, headed = client.get(server.url + path), client.head(server.url + path)
    assert (got.status_code, headed.status_code, headed.content) == (200, 200, b"")
    assert got.headers["content-length"] == headed.headers["content-length"] == str(len(got.content))
    assert got.headers["content-type"] == headed.headers["content-type"]


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/static",
        "/docs/static/",
        "/docs/static/none",
        "/docs/static/../docs.py",
        "/docs/static/%2e%2e/__init__.py",
        "/docs/static/..%2f__init__.py",
        "/docs/static/%2fetc/passwd",
        "/docs/static//etc/passwd",
        "/docs/none",
        "/ui//",
        "/ui/none",
        "/ui/page.html",
        "/ui/static",
        "/ui/static/",
        "/ui/static/none",
        "/ui/static/../page.html",
        "/ui/static/%2e%2e/page.html",
        "/ui/static/..%2fpage.html",
        "/ui/static//favicon.svg",
        "/ui/static/%66avicon.svg",
    ],
)
def test_there_is_nothing_else_below_them(server: Server, client: httpx.Client, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = client.request(method, server.url + path)
        assert answer.status_code == 404
    assert told(client.get(server.url + path)) == (404, "ENDPOINT_NOT_FOUND")
