"""Through nginx a request is answered as it is without: status, headers and body."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.presigning import FIRST
from tests.support.raw import exchange, head
from tests.support.reads import CONTENT, READS, current, seen

ETAG = f'"{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"'
"""Which SeaweedFS gives to what is stored in one part."""
DIGEST = f"sha-256=:{b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


@pytest.fixture(scope="module")
def stored(replicas: Replicas, client: httpx.Client) -> str:
    """The path of an artifact that nobody changes."""
    client.put(f"{replicas.one.native}/transparency/a.txt", content=CONTENT).raise_for_status()
    return "transparency/a.txt"


@pytest.mark.parametrize(("headers", "status"), READS, ids=[str(headers) for headers, _ in READS])
def test_a_download_is_answered_as_it_is_directly(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, stored: str, headers: dict[str, str], status: int
) -> None:
    headers = current(headers, ETAG)
    direct = client.get(f"{replicas.one.native}/{stored}", headers=headers)
    proxied = client.get(f"{nginx.native}/{stored}", headers=headers)
    assert direct.status_code == status
    assert seen(proxied) == seen(direct)
    heads = [client.head(f"{base}/{stored}", headers=headers) for base in (nginx.native, replicas.one.native)]
    assert seen(heads[0]) == seen(heads[1])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/artifacts/transparency/missing", 404),
        ("GET", "/v1/artifacts/transparency", 400),
        ("GET", "/v1/artifacts/transparency/?recursive=true", 200),
        ("GET", "/v1/artifacts/?max_results=x", 400),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=transparency", 200),
        ("GET", "/ajax-api/2.0/mlflow-artifacts/artifacts/transparency/a.txt", 200),
        ("GET", "/health", 200),
        ("GET", "/api/3.0/mlflow/server-info", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/nothing/here", 404),
        ("PATCH", "/v1/artifacts/transparency/a.txt", 405),
        ("DELETE", "/v1/artifacts", 404),
    ],
)
def test_any_other_request_is_answered_as_it_is_directly(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, stored: str, method: str, path: str, status: int
) -> None:
    direct = client.request(method, replicas.one.url + path)
    proxied = client.request(method, nginx.url + path)
    assert direct.status_code == status
    assert seen(proxied) == seen(direct)


WRITES: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"If-None-Match": "*"}, 412),
    ({"If-Match": ETAG}, 200),
    ({"If-Match": '"other"'}, 412),
    ({"If-Match": "other"}, 400),
    ({"Repr-Digest": DIGEST}, 200),
    ({"Repr-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}, 400),
    ({"Want-Repr-Digest": "sha-256=1"}, 200),
    ({"Content-Encoding": "gzip"}, 415),
    ({"Content-Range": "bytes 0-1/2"}, 400),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(("headers", "status"), WRITES, ids=[str(headers) for headers, _ in WRITES])
def test_an_upload_is_answered_as_it_is_directly(
    client: httpx.Client,
    replicas: Replicas,
    nginx: Nginx,
    folder: str,
    chunked: bool,
    headers: Mapping[str, str],
    status: int,
) -> None:
    path = f"{folder}/a.bin"

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(CONTENT), 50_000):
            yield CONTENT[start : start + 50_000]

    def answer(native: str) -> httpx.Response:
        client.put(f"{replicas.one.native}/{path}", content=CONTENT).raise_for_status()
        return client.put(f"{native}/{path}", content=pieces() if chunked else CONTENT, headers=headers)

    direct, proxied = answer(replicas.one.native), answer(nginx.native)
    assert direct.status_code == status
    assert seen(proxied) == seen(direct)
    assert client.get(f"{replicas.other.native}/{path}").content == CONTENT


def test_an_upload_of_something_new_is_answered_as_it_is_directly(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    answers = []
    for native in (replicas.one.native, nginx.native):
        answers.append(client.put(f"{native}/{folder}/new", content=b""))
        client.delete(f"{native}/{folder}/new").raise_for_status()
    assert answers[0].status_code == 201
    assert seen(answers[1]) == seen(answers[0])


def test_a_conflicting_upload_is_answered_as_it_is_directly(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, stored: str
) -> None:
    for path in ("transparency", f"{stored}/below"):
        direct, proxied = (
            client.put(f"{native}/{path}", content=b"x") for native in (replicas.one.native, nginx.native)
        )
        assert direct.status_code == 409
        assert seen(proxied) == seen(direct)


def test_a_client_that_waits_to_be_told_to_continue_is_seen(nginx: Nginx, folder: str) -> None:
    request = head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 5", "Expect: 100-continue")
    assert exchange(nginx.url, request).status == 100


def test_a_large_upload_in_chunks_is_stored_whole(client: httpx.Client, nginx: Nginx, folder: str) -> None:
    client.put(f"{nginx.native}/{folder}/a", content=iter([FIRST] * 6)).raise_for_status()
    assert client.get(f"{nginx.native}/{folder}/a").content == FIRST * 6
