"""What nginx answers by itself is JSON with a code, like all that clients get."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import requests

from tests.support.answers import CONFLICT, MISSING, told
from tests.support.content import MEGABYTE, megabytes
from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.ports import free_ports
from tests.support.raw import exchange, head

TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")

Start = Callable[..., Nginx]


@pytest.mark.parametrize("count", [1, 2])
def test_without_any_replica_all_requests_are_told_to_come_again(
    client: httpx.Client, start_nginx: Start, count: int
) -> None:
    nginx = start_nginx(*(f"http://127.0.0.1:{port}" for port in free_ports(count)))
    for _ in range(2):  # the second time nginx knows already
        for answer in (
            client.get(f"{nginx.native}/a"),
            client.head(f"{nginx.native}/a"),
            client.put(f"{nginx.native}/a", content=bytes(3 * MEGABYTE)),
            client.put(f"{nginx.native}/a", content=megabytes(3)),
            client.post(f"{nginx.mlflow}/mpu/create/d", json={"path": "a", "num_parts": 1}),
            client.delete(f"{nginx.native}/a"),
        ):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.headers["connection"] == "close"
            assert answer.headers["content-type"] == "application/json"
            if answer.request.method != "HEAD":
                assert told(answer) == (503, "TEMPORARILY_UNAVAILABLE")


class TestTheLargestSize:
    @pytest.fixture
    def limited(self, replicas: Replicas, start_nginx: Start) -> Nginx:
        return start_nginx(*replicas.urls, MAX_ARTIFACT_SIZE="2m")

    def test_may_be_used_to_the_last_byte(self, client: httpx.Client, limited: Nginx, folder: str) -> None:
        for content in (bytes(2 * MEGABYTE), megabytes(2)):
            stored = client.put(f"{limited.native}/{folder}/a", content=content).raise_for_status()
            assert stored.json()["size"] == 2 * MEGABYTE

    def test_is_exceeded_by_what_is_announced_and_refused_before_it_comes(
        self, limited: Nginx, folder: str
    ) -> None:
        request = head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {2 * MEGABYTE + 1}")
        answer = exchange(limited.url, request)
        assert (answer.status, json.loads(answer.body)["error_code"]) == TOO_LARGE
        assert answer.headers["content-type"] == "application/json"
        assert "2m" in json.loads(answer.body)["message"]

    @pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
    def test_is_exceeded_by_what_is_never_stored(
        self, client: httpx.Client, replicas: Replicas, limited: Nginx, folder: str, chunked: bool
    ) -> None:
        content = megabytes(20) if chunked else bytes(20 * MEGABYTE)
        assert told(client.put(f"{limited.native}/{folder}/a", content=content)) == TOO_LARGE
        for server in replicas:
            assert told(client.get(f"{server.native}/{folder}/a")) == MISSING


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (head("GET", "/%"), 400),
        (head("GET", "/a%00b"), 400),
        (head("GET", "/\x01"), 400),
        (head("GET", "/../../x"), 400),
        (head("CONNECT", "a:1"), 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (head("GET", "/health", "Host: another"), 400),
        (head("GET", "/health", "X: " + "x" * 70_000), 400),
        (head("PUT", "/v1/artifacts/a", "Content-Length: 1x"), 400),
        (head("PUT", "/v1/artifacts/a", "Content-Length: 1", "Content-Length: 2"), 400),
        (head("PUT", "/v1/artifacts/a", "Content-Length: 1", "Transfer-Encoding: chunked"), 400),
        (head("TRACE", "/health"), 405),
        (head("GET", "/" + "x" * 70_000), 414),
        (head("PUT", "/v1/artifacts/a", "Transfer-Encoding: gzip"), 501),
        (b"GET /health HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    ],
    ids=lambda value: ascii(value[:50]) if isinstance(value, bytes) else str(value),
)
def test_a_request_that_makes_no_sense_is_refused(nginx: Nginx, request_head: bytes, status: int) -> None:
    answer = exchange(nginx.url, request_head)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    refusal = json.loads(answer.body)
    assert refusal.keys() == {"error_code", "message"}
    assert refusal["error_code"] == "MALFORMED_REQUEST"


class TestARefusalOfALargeUpload:
    """The server answers before it has the body, which clients are in the middle of sending."""

    @pytest.fixture
    def directory(self, client: httpx.Client, nginx: Nginx, folder: str) -> str:
        client.put(f"{nginx.native}/{folder}/d/x", content=b"x").raise_for_status()
        return f"{nginx.native}/{folder}/d"

    @pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
    def test_reaches_a_client(self, directory: str, chunked: bool) -> None:
        content = megabytes(64) if chunked else bytes(64 * MEGABYTE)
        # With a connection of its own, which nginx closes sooner or later.
        assert told(httpx.put(directory, content=content, timeout=60)) == CONFLICT

    def test_reaches_the_library_that_mlflow_uses(self, directory: str, tmp_path: Path) -> None:
        (tmp_path / "large").write_bytes(bytes(64 * MEGABYTE))
        with (tmp_path / "large").open("rb") as file:
            answer = requests.put(directory, data=file, timeout=60)
        assert (answer.status_code, answer.json()["error_code"]) == CONFLICT
