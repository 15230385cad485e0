"""Any replica answers any request: with what one has begun or stored, the other goes on."""

from __future__ import annotations

import secrets

import httpx
import pytest

from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.presigning import FIRST, LAST, Multipart, presigned

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("size", [0, 100_000, 20 * MEGABYTE])
def test_what_is_uploaded_to_one_is_downloaded_from_the_other_and_through_nginx(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str, size: int
) -> None:
    content = secrets.token_bytes(size)
    client.put(f"{replicas.one.native}/{folder}/a", content=content).raise_for_status()
    for native in (replicas.other.native, nginx.native):
        assert client.get(f"{native}/{folder}/a").raise_for_status().content == content


def test_what_is_uploaded_through_nginx_is_at_both(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    content = secrets.token_bytes(20 * MEGABYTE)
    client.put(f"{nginx.native}/{folder}/a", content=content).raise_for_status()
    for server in replicas:
        assert client.get(f"{server.native}/{folder}/a").raise_for_status().content == content


def test_what_is_deleted_through_nginx_is_gone_at_both(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    client.put(f"{replicas.one.native}/{folder}/a/b", content=b"x").raise_for_status()
    client.delete(f"{nginx.native}/{folder}/a/").raise_for_status()
    for server in replicas:
        assert client.get(f"{server.native}/{folder}/a/b").status_code == 404


def test_requests_go_to_both(client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str) -> None:
    for number in range(10):
        client.put(f"{nginx.native}/{folder}/{number}", content=b"x").raise_for_status()
    # Not always by turns: a request may come before the one before it is over for nginx.
    one, other = replicas.counts(f"{folder}/")
    assert one + other == 10
    assert min(one, other) >= 3


def test_a_multipart_upload_begun_at_one_is_completed_at_the_other(
    client: httpx.Client, replicas: Replicas, folder: str
) -> None:
    upload = Multipart(replicas.one, client, folder)
    parts = upload.send(FIRST, LAST)
    upload.base = f"{replicas.other.mlflow}/mpu"
    completed = upload.complete(parts)
    assert (completed.status_code, completed.json()) == (200, {})
    for server in replicas:
        assert client.get(f"{server.native}/{upload.path}").content == FIRST + LAST


def test_multipart_uploads_through_nginx_succeed_whichever_replica_takes_each_step(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    crossed = False
    for number in range(3):
        upload = Multipart(nginx, client, f"{folder}/{number}")
        parts = upload.send(FIRST, LAST)
        assert upload.complete(parts).status_code == 200
        assert client.get(f"{nginx.native}/{upload.path}").content == FIRST + LAST
        steps = [replicas.counts(f"/mpu/{step}/{folder}/{number}") for step in ("create", "complete")]
        crossed |= steps[0] != steps[1]
    assert crossed


def test_a_multipart_upload_begun_at_one_is_aborted_at_the_other(
    client: httpx.Client, replicas: Replicas, folder: str
) -> None:
    upload = Multipart(replicas.one, client, folder)
    parts = upload.send(FIRST, LAST)
    upload.base = f"{replicas.other.mlflow}/mpu"
    assert upload.abort().status_code == 200
    upload.base = f"{replicas.one.mlflow}/mpu"
    assert upload.complete(parts).status_code == 404


def test_a_presigned_url_is_the_same_for_all_ways(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    client.put(f"{nginx.native}/{folder}/a", content=b"content").raise_for_status()
    ways = (*replicas, nginx)
    places = {presigned(way, client, f"{folder}/a").partition("?")[0] for way in ways}
    assert len(places) == 1
    assert client.get(presigned(nginx, client, f"{folder}/a")).content == b"content"


@pytest.mark.parametrize("ways", ["directly", "through nginx"])
def test_the_pages_of_a_listing_come_from_different_replicas(
    client: httpx.Client, replicas: Replicas, nginx: Nginx, folder: str, ways: str
) -> None:
    for name in "abcde":
        client.put(f"{nginx.native}/{folder}/{name}", content=b"x").raise_for_status()
    bases = [nginx.native] if ways == "through nginx" else [server.native for server in replicas]
    before, found = replicas.counts("max_results=2"), ""
    token: str | None = None
    for page in range(3):
        asked = {"max_results": 2} | ({"page_token": token} if token else {})
        listing = client.get(f"{bases[page % len(bases)]}/{folder}/", params=asked).raise_for_status().json()
        found += "".join(entry["path"][-1] for entry in listing["entries"])
        token = listing["next_page_token"]
    assert found == "abcde"
    assert token is None
    grown = [now - then for now, then in zip(replicas.counts("max_results=2"), before, strict=True)]
    assert min(grown) >= 1
