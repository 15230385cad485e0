"""P14: at SIGTERM running transfers finish within the grace period, and the rest abort cleanly."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from app.server.process import ECHO_SECONDS
from tests.e2e.roots import LocalRoot, Root, S3Root
from tests.support.nginx import Nginx, running_nginx
from tests.support.object_store import ObjectStore
from tests.support.server import Server, running
from tests.support.transfers import Transfers, slow_transfers
from tests.support.waiting import wait_until
from tests.support.workers import started_workers

EACH = 25
LARGE = random.Random(14).randbytes(12 * 1024 * 1024)  # noqa: S311 - no secret
"""Its half is more than a part of an upload to S3."""
SMALL = LARGE[: 300 * 1024]
STORED = LARGE[: 8 * 1024 * 1024]
"""More than the kernel keeps for the two connections of a download."""
LITTLE_KEPT = {"default_server;": "default_server sndbuf=64k;"}
DELAY = 3


@pytest.fixture
def root_in(object_store: ObjectStore, bucket: str, tmp_path: Path) -> Iterator[Callable[[str], Root]]:
    with closing(object_store.client()) as client:
        roots = {
            "local": LocalRoot(tmp_path / "root"),
            "s3": S3Root(object_store, bucket, "some/root", client),
        }
        yield roots.__getitem__


@contextmanager
def serving(root: Root, directory: Path, *flags: str) -> Iterator[tuple[Server, Nginx]]:
    flags += ("--s3-part-size", str(5 * 1024 * 1024))
    with (
        running(root.location, *flags, environment=root.environment, log_file=directory / "log") as server,
        running_nginx(directory / "nginx", [server.url], replaced=LITTLE_KEPT) as nginx,
    ):
        yield server, nginx


@contextmanager
def fifty_transfers(root: Root, nginx: Nginx) -> Iterator[Transfers]:
    """Through nginx; all have begun and none is near its end."""
    root.put("stored", STORED)
    contents = {f"new/{number}": LARGE if number < 3 else SMALL + bytes([number]) for number in range(EACH)}
    with slow_transfers(nginx.url, contents, ["stored"] * EACH) as transfers:
        yield transfers


def counted(server: Server, words: str) -> int:
    """The sum over the workers of the number that they log with these words."""
    return sum(int(number) for number in re.findall(rf"(\d+) {words}", server.log()))


def asked(server: Server, path: str) -> tuple[int, str | None]:
    answer = httpx.get(server.url + path)
    return answer.status_code, answer.headers.get("connection")


def refuses(server: Server) -> bool:
    try:
        httpx.get(f"{server.url}/health")
    except httpx.TransportError as error:
        return isinstance(error, httpx.ConnectError)
    return False


@pytest.mark.usefixtures("nginx_installed")
@pytest.mark.parametrize(("kind", "workers"), [("local", "2"), ("s3", "1")])
def test_p14_transfers_that_run_at_sigterm_end_whole(
    root_in: Callable[[str], Root], tmp_path: Path, kind: str, workers: str
) -> None:
    root = root_in(kind)
    flags = ("--workers", workers, "--drain-delay", str(DELAY))
    with serving(root, tmp_path, *flags) as (server, nginx), fifty_transfers(root, nginx) as transfers:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: asked(server, "/ready") == (503, "close"), "it is not ready")
        wait_until(lambda: asked(server, "/health") == (200, "close"), "it is alive")
        wait_until(lambda: refuses(server), "nothing new is accepted")
        assert server.process.poll() is None
        assert counted(server, "requests have 60 seconds to finish") == 2 * EACH
        transfers.go_on()
        assert {upload.status() for upload in transfers.uploads} == {201}
        assert {each.sha256() for each in transfers.downloads} == {hashlib.sha256(STORED).digest()}
        assert server.process.wait(20) == 0
    for upload in transfers.uploads:
        assert root.sha256(upload.path) == hashlib.sha256(upload.content).digest()
    assert "Traceback" not in server.log()
    assert "Aborting" not in server.log()


@pytest.mark.usefixtures("nginx_installed")
@pytest.mark.parametrize(("kind", "workers"), [("local", "2"), ("s3", "2")])
def test_p14_transfers_that_do_not_end_in_time_are_aborted_cleanly(
    root_in: Callable[[str], Root], tmp_path: Path, kind: str, workers: str
) -> None:
    root = root_in(kind)
    flags = ("--workers", workers, "--drain-timeout", "0.5")
    with serving(root, tmp_path, *flags) as (server, nginx), fifty_transfers(root, nginx) as transfers:
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert counted(server, "requests that did not finish in time") == 2 * EACH
        # What clients see: an error, or the end of the connection; a body that is visibly short.
        assert {upload.status() for upload in transfers.uploads} <= {503, None}
        for download in transfers.downloads:
            while download.step():
                pass
            assert download.missing
    assert set(root.tree()) == {"stored"}
    if isinstance(root, S3Root):
        assert root.unfinished() == []
    else:
        assert server.staged() == []
    for unwanted in ("Traceback", "CancelledError", "still hangs", "sweeper"):
        assert unwanted not in server.log()


@pytest.mark.parametrize("workers", [1, 2])
def test_p14_a_second_signal_stops_at_once(serve: Callable[..., Server], workers: int) -> None:
    server = serve("--workers", str(workers), "--drain-delay", "600")
    processes = started_workers(server, workers)
    with slow_transfers(server.url, {"a": SMALL}, []):
        wait_until(server.staged, "the upload has begun")
        # A terminal and the program that started the server may both tell it the same.
        server.process.send_signal(signal.SIGINT)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: asked(server, "/ready") == (503, "close"), "it is not ready")
        assert httpx.put(f"{server.native}/b", content=b"new").status_code == 201
        time.sleep(ECHO_SECONDS)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM
    assert not any(psutil.pid_exists(process) for process in processes)


def test_p14_a_worker_that_is_killed_is_replaced_and_requests_go_on(serve: Callable[..., Server]) -> None:
    server = serve("--workers", "2")
    before = started_workers(server, 2)
    with slow_transfers(server.url, {"a": SMALL}, []) as transfers:
        wait_until(server.staged, "the upload has begun")
        [killed] = [worker for worker in before if not has_open(worker, server.staging)]
        os.kill(killed, signal.SIGKILL)
        assert httpx.put(f"{server.native}/b", content=b"new").status_code == 201
        assert len(set(started_workers(server, 3))) == 3
        transfers.go_on()
        assert transfers.uploads[0].status() == 201
    assert server.tree() == {"a": SMALL, "b": b"new"}
    assert f"Worker {killed} died (by SIGKILL); another one starts in 0 seconds." in server.log()


def has_open(process_id: int, directory: Path) -> bool:
    """Whether the process has a file open that lies there."""
    files = psutil.Process(process_id).open_files()
    return any(Path(file.path).is_relative_to(directory) for file in files)
