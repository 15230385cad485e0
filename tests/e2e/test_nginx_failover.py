"""A replica that dies takes nothing with it but the requests that it was at, and clients repeat those."""

from __future__ import annotations

import filecmp
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import Replicas, running_replicas
from tests.support.object_store import ObjectStore
from tests.support.recorder import recording

KILOBYTE = 1024
SIZES = [0, 1, 20 * KILOBYTE, 300 * KILOBYTE, 3000 * KILOBYTE, 9000 * KILOBYTE]
CLIENTS = 8
BEFORE, DURING = 18, 42
"""How many files are uploaded before there is load, and under it, while the former are downloaded."""
KILL_AFTER = 18
"""So many of the transfers under load are over when one replica dies."""


@pytest.fixture
def mortal(bucket: str, object_store: ObjectStore, tmp_path: Path) -> Iterator[Replicas]:
    """Two replicas of this test's own."""
    with running_replicas(f"s3://{bucket}/root", tmp_path, environment=object_store.environment()) as started:
        yield started


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of mixed sizes."""
    chance = random.Random(11)  # noqa: S311 - the same files each time
    directory = tmp_path / "files"
    directory.mkdir()
    made = [directory / f"{number:02}.bin" for number in range(BEFORE + DURING)]
    for number, path in enumerate(made):
        path.write_bytes(chance.randbytes(SIZES[number % len(SIZES)]))
    return made


def test_stock_clients_lose_nothing_when_a_replica_is_killed_under_load(
    user_environment: None, client: httpx.Client, mortal: Replicas, files: list[Path], tmp_path: Path
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    repeated_at: list[float] = []

    with running_nginx(tmp_path / "nginx", mortal.urls) as nginx, ThreadPoolExecutor(CLIENTS) as pool:
        repository = HttpArtifactRepository(f"{nginx.mlflow}/artifacts/run")

        def upload(file: Path) -> None:
            repository.log_artifact(str(file), "models")

        def download(file: Path) -> None:
            into = tmp_path / "fetched" / file.name
            into.mkdir(parents=True)
            try:
                fetched = repository.download_artifacts(f"models/{file.name}", str(into))
            except MlflowException as failure:
                if "Connection broken: IncompleteRead" not in str(failure):
                    raise
                # It was cut in the middle of the body, which the client tells and does not repeat.
                repeated_at.append(time.monotonic())
                fetched = repository.download_artifacts(f"models/{file.name}", str(into))
            assert filecmp.cmp(fetched, file, shallow=False)

        list(pool.map(upload, files[:BEFORE]))
        load = [(download, file) for file in files[:BEFORE]] + [(upload, file) for file in files[BEFORE:]]
        random.Random(11).shuffle(load)  # noqa: S311 - the same order each time
        finished = as_completed([pool.submit(transfer, file) for transfer, file in load], timeout=120)
        for each in islice(finished, KILL_AFTER):
            each.result()
        killed_at = time.monotonic()
        mortal.one.process.send_signal(signal.SIGKILL)
        assert mortal.one.process.wait(20) == -signal.SIGKILL
        for each in finished:
            each.result()

        dead = urlsplit(mortal.one.url).netloc
        assert re.search(rf'\[error\] .* upstream: "http://{dead}/', nginx.log()), "it was not under load"
        assert len(repeated_at) <= CLIENTS
        assert all(at > killed_at for at in repeated_at)

        for file in files:
            stored = client.get(f"{mortal.other.native}/run/models/{file.name}").raise_for_status()
            assert stored.content == file.read_bytes()
        # With one replica down nobody notices any more.
        for number in range(20):
            client.put(f"{nginx.native}/after/{number}", content=b"x").raise_for_status()
            assert client.get(f"{nginx.native}/after/{number}").content == b"x"


@pytest.mark.parametrize(
    ("method", "size", "condition", "times"),
    [
        ("GET", 0, "", 2),
        ("GET", 0, "If-None-Match", 2),
        ("HEAD", 0, "", 2),
        ("DELETE", 0, "", 2),
        ("DELETE", 0, "If-Match", 1),
        ("POST", 10, "", 1),
        ("PUT", 0, "If-None-Match", 1),
        ("PUT", 10, "If-Match", 1),
        ("PUT", 10, "If-Unmodified-Since", 1),
        ("PUT", 3_000_000, "", 1),
        ("PATCH", 10, "", 1),
    ],
)
def test_only_what_may_be_repeated_is_tried_at_another_replica(
    client: httpx.Client,
    start_nginx: Callable[..., Nginx],
    method: str,
    size: int,
    condition: str,
    times: int,
) -> None:
    with recording(answering=False) as one, recording(answering=False) as other:
        addresses = [urlsplit(each.url).netloc for each in (one, other)]
        # Or else nginx would ask neither for a while, after the first request.
        tried = {f"{address};": f"{address} max_fails=0;" for address in addresses}
        nginx = start_nginx(one.url, other.url, replaced=tried)
        conditions = {condition: '"a"'} if condition else {}
        content = bytes(size) if size or method == "PUT" else None
        answer = client.request(method, f"{nginx.url}/a", content=content, headers=conditions)
        assert answer.status_code == 503
        if method != "HEAD":
            assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        asked = [each.line for each in one.asked + other.asked if each.line == f"{method} /a HTTP/1.1"]
    assert len(asked) == times
