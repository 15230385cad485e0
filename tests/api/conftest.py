"""Both HTTP surfaces, of which each promises what the other does; clients; threads; presigned transfers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from app.api.threads import StorageThreads
from tests.support.cookies import no_cookies
from tests.support.interposer import interposing
from tests.support.object_store import ObjectStore
from tests.support.presigning import EXTRA, REDIRECT_ABOVE, Begin, ContentOf, Left, Multipart, Place
from tests.support.server import Server, running


@pytest.fixture(params=["native", "mlflow", "ajax"])
def base(request: pytest.FixtureRequest, server: Server, folder: str) -> str:
    """The URL of a directory of this test's own, on each surface in turn."""
    prefixes = {
        "native": server.native,
        "mlflow": f"{server.mlflow}/artifacts",
        "ajax": f"{server.url}/ajax-api/2.0/mlflow-artifacts/artifacts",
    }
    return f"{prefixes[request.param]}/{folder}"


@pytest.fixture(scope="session")
def stranger() -> Iterator[httpx.Client]:
    """A client with an address that a server with default settings does not trust."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(timeout=60, transport=transport, cookies=no_cookies()) as opened:
        yield opened


@pytest.fixture
def threads() -> Iterator[StorageThreads]:
    opened = StorageThreads(2)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def place(object_store: ObjectStore) -> Iterator[Place]:
    bucket = object_store.make_bucket()
    with (
        closing(object_store.client()) as client,
        interposing(object_store.url) as private,
        interposing(object_store.url) as public,
    ):
        yield Place(object_store, bucket, client, private, public)
    object_store.remove_bucket(bucket)


@pytest.fixture(scope="session")
def start(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Gives what starts a server over the same root, with the flags given."""
    logs = tmp_path_factory.mktemp("presign")

    def started(*flags: str, **variables: str) -> Any:
        log_file = logs / f"{len(list(logs.iterdir()))}.log"
        environment = place.environment | variables
        return running(place.root(), *flags, environment=environment, log_file=log_file)

    return started


@pytest.fixture(scope="session")
def presigning(start: Callable[..., Any], place: Place) -> Iterator[Server]:
    flags = ("--presign", "--s3-public-endpoint-url", place.public.url)
    with start(*flags, "--s3-upload-extra-args", json.dumps(EXTRA)) as server:
        yield server


@pytest.fixture(scope="session")
def redirecting(start: Callable[..., Any], place: Place) -> Iterator[Server]:
    """It only reads, and hands out URLs that hold for 77 seconds."""
    flags = ("--read-only", "--presign", "--presign-redirect-above", str(REDIRECT_ABOVE))
    variables = {
        "MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS": "77",
        "ARTIFACT_PROXY_S3_PUBLIC_ENDPOINT_URL": place.public.url,
    }
    with start(*flags, **variables) as server:
        yield server


@pytest.fixture(scope="session")
def plain(start: Callable[..., Any]) -> Iterator[Server]:
    """As it is by default."""
    with start() as server:
        yield server


@pytest.fixture
def begin(presigning: Server, client: httpx.Client, folder: str) -> Begin:
    def begun(name: str = "model.bin", parts: int = 2) -> Multipart:
        return Multipart(presigning, client, folder, name, parts)

    return begun


@pytest.fixture
def left(place: Place, folder: str) -> Left:
    """Gives what uploads of this test have left: at the store, and in the server's records."""
    before = place.records()
    return lambda: [*place.open_uploads(f"root/{folder}"), *sorted(place.records() - before)]


@pytest.fixture
def content_of(presigning: Server, client: httpx.Client) -> ContentOf:
    """Gives what the server has at the path of an upload; None if there is nothing."""

    def read(upload: Multipart) -> bytes | None:
        got = client.get(f"{presigning.native}/{quote(upload.path)}")
        return None if got.status_code == 404 else got.raise_for_status().content

    return read
