"""A replica that dies takes nothing with it but the requests that it was at, and clients repeat those."""

from __future__ import annotations

import hashlib
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
BEFORE, DURING = 18, 42
"""How many files are uploaded before one replica dies, and while it does."""


@pytest.fixture
def mortal(bucket: str, object_store: ObjectStore, tmp_path: Path) -> Iterator[Replicas]:
    """Two replicas of this test's own."""
    with running_replicas(f"s3://{bucket}/root", tmp_path, environment=object_store.environment()) as started:
        yield started


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files of mixed sizes by their names."""
    chance = random.Random(11)  # noqa: S311 - the same files each time
    made = {}
    for number in range(BEFORE + DURING):
        path = tmp_path / "files" / f"{number:02}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(SIZES[number % len(SIZES)]))
        made[path.name] = path
    return made


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_stock_clients_lose_nothing_when_a_replica_is_killed_under_load(
    user_environment: None,
    client: httpx.Client,
    mortal: Replicas,
    files: dict[str, Path],
    tmp_path: Path,
) -> None:
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
    from requests.exceptions import RequestException

    done = threading.Semaphore(0)
    names = list(files)

    with running_nginx(tmp_path / "nginx", mortal.urls) as nginx, ThreadPoolExecutor(8) as pool:
        repository = HttpArtifactRepository(f"{nginx.mlflow}/artifacts/run")

        def upload(name: str) -> None:
            repository.log_artifact(str(files[name]), "models")
            done.release()

        def download(name: str) -> None:
            into = tmp_path / "fetched" / name
            into.mkdir(parents=True)
            try:
                fetched = repository.download_artifacts(f"models/{name}", str(into))
            except RequestException:
                # It was cut in the middle of the body, which the client tells and does not repeat.
                fetched = repository.download_artifacts(f"models/{name}", str(into))
            assert sha256(Path(fetched)) == sha256(files[name])
            done.release()

        def kill() -> None:
            for _ in range(BEFORE):
                assert done.acquire(timeout=60)
            mortal.one.process.send_signal(signal.SIGKILL)

        list(pool.map(upload, names[:BEFORE]))
        for _ in range(BEFORE):
            done.acquire()
        executioner = threading.Thread(target=kill)
        executioner.start()
        uploads = [pool.submit(upload, name) for name in names[BEFORE:]]
        downloads = [pool.submit(download, name) for name in names[:BEFORE]]
        for each in uploads + downloads:
            each.result()
        executioner.join()
        assert mortal.one.process.wait() == -signal.SIGKILL

        for name, path in files.items():
            whole = client.get(f"{mortal.other.native}/run/models/{name}").raise_for_status().content
            assert hashlib.sha256(whole).hexdigest() == sha256(path)
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
