"""Paths go through nginx to the byte: nothing is decoded, joined or resolved on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from tests.support.hostile_paths import REFUSED, SURFACES
from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.raw import exchange, head
from tests.support.recorder import recording

NAMES = [
    "a b", " a ", "a+b", "100%", "a%20b", "a%2e", "a%2525", "a#b", "a?b=c", "a;b=c,d", "a&b=c", "a'b\"c",
    "<a>|{b}^[c]`", "~a!b$c(d)*@e", "é", "e\u0301", "日本語 😀", "...", "a..b", "-a",
]  # fmt: skip
"""The backslash is missing, since SeaweedFS takes it for a slash."""


def test_names_that_need_encoding_are_stored_and_read_back_exactly(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    for name in NAMES:
        path = f"{folder}/{quote(f'{name}/{name}', safe='/')}"
        stored = client.put(f"{nginx.native}/{path}", content=name.encode()).raise_for_status()
        assert stored.json()["path"] == f"{folder}/{name}/{name}"
        assert stored.headers["location"] == f"/v1/artifacts/{path}"
        for native in (nginx.native, replicas.one.native, replicas.other.native):
            assert client.get(f"{native}/{path}").raise_for_status().content == name.encode()
    asked = {"path": folder}
    listed = client.get(f"{nginx.mlflow}/artifacts", params=asked).json()["files"]
    assert {each["path"] for each in listed} == set(NAMES)


@pytest.mark.parametrize("surface", SURFACES)
def test_hostile_paths_are_refused_in_json(replicas: Replicas, nginx: Nginx, surface: str) -> None:
    for path in REFUSED:
        for method in ("GET", "DELETE"):
            answer = exchange(nginx.url, head(method, surface + path))
            assert answer.status == 400, path
            refusal = json.loads(answer.body)
            if refusal["error_code"] == "MALFORMED_REQUEST":  # which is nginx's own
                assert refusal.keys() == {"error_code", "message"}
            else:
                assert refusal.pop("request_id") == answer.headers["x-request-id"]
                direct = json.loads(exchange(replicas.one.url, head(method, surface + path)).body)
                assert refusal.items() == direct.items() - {("request_id", direct["request_id"])}


ODD = [
    *("//v1/artifacts/x", "/v1//artifacts/x", "/v1/artifacts//", "/v1/%61rtifacts/x", "/v1/./artifacts/x"),
    *("/x/../v1/artifacts/x", "/x/%2e%2e/v1/artifacts/x", "/v1/artifacts%2fx", "/v1%2fartifacts/x"),
    *("/v1/artifacts/a#b", "/v1/artifacts/a?b?c", '/v1/artifacts/a|b"<c>{d}^`', "/v1/artifacts/a\\..\\b"),
    *("/v1/artifacts/%E9", "/v1/artifacts/\xe9", "/v1/artifacts/a+b%2Bc%20d", "/v1/artifacts/%c3%a9?p=%2f%"),
    *("/health/", "//health", "/health/../health", "/%68ealth", "/health;x", "/?", "/a?//../"),
]


def test_every_target_is_sent_on_as_it_came(start_nginx: Callable[..., Nginx]) -> None:
    with recording() as behind:
        nginx = start_nginx(behind.url)
        behind.asked.clear()
        for target in ODD:
            assert exchange(nginx.url, head("GET", target)).status == 204
    assert [asked.line for asked in behind.asked] == [f"GET {target} HTTP/1.1" for target in ODD]


def test_an_odd_target_is_answered_as_it_is_directly(replicas: Replicas, nginx: Nginx) -> None:
    for target in ODD:
        request = head("GET", target)
        direct, proxied = exchange(replicas.one.url, request), exchange(nginx.url, request)
        assert (proxied.status, without_id(proxied.body)) == (direct.status, without_id(direct.body)), target


def without_id(body: bytes) -> bytes:
    """An error without the id of its request."""
    return re.sub(rb',\s*"request_id":\s*"[^"]+"', b"", body)
