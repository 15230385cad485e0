"""A server over S3 that sends clients to the store: they get what they want there, and show it no token."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from artifact_proxy import Client
from tests.support.access import access_file, token_stanza
from tests.support.client_command import Run
from tests.support.interposer import Interposer, interposing
from tests.support.interposer_actions import cut_body
from tests.support.object_store import ObjectStore
from tests.support.server import running

CONTENT = os.urandom(1_500_000)


class Presigning(NamedTuple):
    url: str
    token: str
    store: Interposer
    """Where clients find the store."""


@pytest.fixture(scope="module")
def presigning(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Presigning]:
    directory = tmp_path_factory.mktemp("presigning")
    token, stanza = token_stanza("all", "all:")
    bucket = object_store.make_bucket()
    with interposing(object_store.url) as store:
        flags = ["--presign", "--presign-redirect-above", "1000", "--s3-public-endpoint-url", store.url]
        flags += ["--access-file", str(access_file(directory, stanza))]
        with running(
            f"s3://{bucket}/root", *flags, environment=object_store.environment(), log_file=directory / "log"
        ) as server:
            yield Presigning(server.url, token, store)
    with closing(object_store.client()) as client:
        for found in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=found["Key"])
    object_store.remove_bucket(bucket)


@pytest.fixture
def client(presigning: Presigning) -> Iterator[Client]:
    presigning.store.clear()
    with Client(presigning.url, presigning.token, retries=2) as opened:
        opened.put_bytes(CONTENT, "a.bin")
        yield opened
    presigning.store.forget_rules()


def test_a_large_artifact_comes_from_the_store_that_sees_no_token(
    presigning: Presigning, client: Client, place: Path
) -> None:
    client.get("a.bin")
    assert (place / "a.bin").read_bytes() == CONTENT
    (request,) = presigning.store.requests()
    assert "authorization" not in request.headers


def test_a_download_from_the_store_is_gone_on_with_by_the_server(
    presigning: Presigning, client: Client, place: Path
) -> None:
    presigning.store.on("GetObject", cut_body(700_000))
    client.get("a.bin")
    assert (place / "a.bin").read_bytes() == CONTENT
    assert len(presigning.store.requests()) == 1


def test_a_presigned_url_needs_no_token(
    presigning: Presigning, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", presigning.token)
    told = run("url", "--presigned", "a.bin", "--server", presigning.url)
    assert told.status == 0
    assert httpx.get(told.out.strip()).content == CONTENT
    assert httpx.get(client.url("a.bin")).status_code == 401


def test_a_digest_is_that_of_the_stored_bytes(client: Client, run: Run) -> None:
    client.put_bytes(b"abc", "abc")
    digest = client.digest("abc")
    assert digest is not None
    assert digest.hex().startswith("ba7816bf8f01cfea")
    assert [entry.path for entry in client.list()] == ["a.bin", "abc"]
    client.remove("abc")
    assert [entry.path for entry in client.list()] == ["a.bin"]
