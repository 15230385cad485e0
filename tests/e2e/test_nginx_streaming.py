"""Bytes go through nginx as they come, in both directions, and it keeps none of them."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.content import MEGABYTE, megabytes
from tests.support.nginx import Nginx


def spooled(nginx: Nginx) -> list[str]:
    """The files that nginx keeps bodies in; it takes their names away as soon as it has them open."""
    opened: list[str] = []
    for worker in psutil.Process(nginx.process.pid).children():
        for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                opened.append(os.readlink(descriptor))
    left = [str(path) for path in nginx.state.rglob("*") if path.is_file()]
    logs = {str(nginx.state / name) for name in ("nginx.conf", "nginx.pid", "access.log", "nginx.log")}
    return [path for path in opened + left if path.startswith(str(nginx.state)) and path not in logs]


def memory(nginx: Nginx) -> int:
    """Bytes that the largest process of nginx takes."""
    largest: int = max(each.memory_info().rss for each in psutil.Process(nginx.process.pid).children())
    return largest


def watched(nginx: Nginx, transfer: Callable[[], object]) -> None:
    """Does the `transfer`, of which nginx keeps nothing at any time."""
    looks = 0
    with ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(transfer)
        while not going_on.done():
            assert spooled(nginx) == []
            assert memory(nginx) < 64 * MEGABYTE
            looks += 1
            wait([going_on], timeout=0.02)
    going_on.result()
    assert looks >= 10


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Path]:
    """A directory for large files, which are gone in the end."""
    yield tmp_path
    for file in tmp_path.glob("**/*.bin"):
        file.unlink()


def test_the_real_client_sends_and_fetches_a_large_file_and_nothing_of_it_stays_in_nginx(
    user_environment: None, nginx: Nginx, client: httpx.Client, folder: str, space: Path
) -> None:
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    repository = HttpArtifactRepository(f"{nginx.mlflow}/artifacts/{folder}")
    file, fetched = space / "large.bin", space / "fetched"
    fetched.mkdir()
    with file.open("wb") as opened:
        opened.writelines(megabytes(256))

    watched(nginx, lambda: repository.log_artifact(str(file)))
    watched(nginx, lambda: repository.download_artifacts(file.name, str(fetched)))
    assert filecmp.cmp(fetched / file.name, file, shallow=False)

    with client.stream("GET", f"{nginx.native}/{folder}/{file.name}") as answer:
        next(answer.iter_raw())
        # As long as nobody takes the rest, nginx has nowhere to put it.
        client.put(f"{nginx.native}/{folder}/meanwhile", content=megabytes(20)).raise_for_status()
        assert spooled(nginx) == []
    repository.delete_artifacts()
