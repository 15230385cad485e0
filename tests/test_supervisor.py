"""Several workers and the process that keeps them: what each sees of the other, and who outlives whom."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from app.server import supervisor
from app.server.process import Patience
from app.server.shared_directory import SharedDirectory
from app.server.supervisor import Place, Supervisor
from tests.support.patched import patched
from tests.support.scraping import scrape
from tests.support.server import Server, running, start, stop
from tests.support.transfers import slow_transfers
from tests.support.waiting import wait_until
from tests.support.workers import started_workers

CONTENT = bytes(300_000)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("two") / "root", "--workers", "2") as server:
        started_workers(server, 2)
        yield server


def workers_of(parent: int) -> set[int]:
    """The process ids of those that live."""
    return {
        child.pid
        for child in psutil.Process(parent).children()
        if "--multiprocessing-fork" in child.cmdline()
    }


def are_gone(processes: set[int]) -> bool:
    return not any(psutil.pid_exists(number) for number in processes)


def impatient(directory: Path) -> dict[str, str]:
    """For a server that waits for signs of life for 3 seconds only."""
    return patched(directory / "patch", "from app.server import supervisor", "supervisor.HUNG_SECONDS = 3")


def metrics_directory(worker: int) -> Path:
    return Path(psutil.Process(worker).environ()["PROMETHEUS_MULTIPROC_DIR"])


def test_each_of_two_workers_serves_the_same_artifacts(two_workers: Server) -> None:
    workers = workers_of(two_workers.process.pid)
    assert len(workers) == 2
    for worker in workers:
        # What the other one cannot take while it stands still, this one must.
        [other] = workers - {worker}
        os.kill(other, signal.SIGSTOP)
        try:
            url = f"{two_workers.native}/by-{worker}.txt"
            assert httpx.put(url, content=str(worker).encode(), timeout=20).status_code == 201
        finally:
            os.kill(other, signal.SIGCONT)
    for worker in workers:
        assert httpx.get(f"{two_workers.native}/by-{worker}.txt").content == str(worker).encode()


def test_workers_count_in_one_directory_which_does_not_grow_when_they_are_replaced(
    two_workers: Server,
) -> None:
    one, other = started_workers(two_workers, 2)
    directory = metrics_directory(one)
    assert metrics_directory(other) == directory
    files = set(os.listdir(directory))
    os.kill(other, signal.SIGSTOP)
    try:
        with slow_transfers(two_workers.url, {f"{number}": CONTENT for number in range(4)}, []):
            wait_until(lambda: in_flight(two_workers) == 4, "it has something to do")
            os.kill(other, signal.SIGCONT)
            os.kill(one, signal.SIGKILL)
            started_workers(two_workers, 3)
            assert in_flight(two_workers) == 0, "what the dead one did is over"
    finally:
        os.kill(other, signal.SIGCONT)
    assert files <= set(os.listdir(directory)), "what it has counted has happened"
    assert len(os.listdir(directory)) <= 2 * len({name.partition("_worker")[0] for name in files}) + 1


def in_flight(server: Server) -> float:
    with httpx.Client() as client:
        return scrape(server, client).value("artifact_proxy_transfers_in_flight")


def test_a_signal_during_the_start_ends_all_in_order_and_leaves_nothing(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    with log_file.open("wb") as log:
        process = start(tmp_path / "root", "--workers", "2", log=log)
    try:
        wait_until(lambda: len(workers_of(process.pid)) == 2, "the workers start")
        workers = workers_of(process.pid)
        directory = metrics_directory(min(workers))
        assert directory.is_dir()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        stop(process)
    assert are_gone(workers)
    assert not directory.exists()
    assert "Traceback" not in log_file.read_text()


def test_a_worker_that_stands_still_is_replaced_and_holds_nobody_up_at_the_end(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    patience = patched(
        tmp_path / "patch", "import app.server.supervisor", "app.server.supervisor.HUNG_SECONDS = 3"
    )
    server = serve("--workers", "2", **patience)
    still = started_workers(server, 2)[0]
    os.kill(still, signal.SIGSTOP)
    _, other, third = started_workers(server, 3)
    assert f"Worker {still} has given no sign of life for 3 seconds." in server.log()
    os.kill(third, signal.SIGSTOP)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: are_gone({other}), "the other one has ended")
    assert not are_gone({third})
    assert server.process.wait(20) == 0


def test_a_pause_of_all_is_no_silence_of_any(serve: Callable[..., Server], tmp_path: Path) -> None:
    """Of a container, say."""
    patience = patched(
        tmp_path / "patch", "import app.server.supervisor", "app.server.supervisor.HUNG_SECONDS = 3"
    )
    server = serve("--workers", "2", **patience)
    workers = set(started_workers(server, 2))
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in (server.process.pid, *workers):
            os.kill(process, number)
        time.sleep(3.5)  # longer than a worker may be silent, and then long enough to be looked after
    assert workers_of(server.process.pid) == workers


def test_workers_whose_supervisor_is_killed_end_in_order(serve: Callable[..., Server]) -> None:
    server = serve("--workers", "2")
    workers = set(started_workers(server, 2))
    left = metrics_directory(min(workers))
    with slow_transfers(server.url, {"a": CONTENT}, []) as transfers:
        wait_until(server.staged, "the upload has begun")
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        wait_until(lambda: "Shutting down: 1 requests" in server.log(), "the worker has noticed")
        transfers.go_on()
        assert transfers.uploads[0].status() == 201
    wait_until(lambda: are_gone(workers), "the workers have ended")
    assert server.tree() == {"a": CONTENT}
    strange = left.with_name("artifact-proxy-workers-of-somebody-else")
    strange.mkdir()
    for old in (left, strange):
        os.utime(old, (0, 0))
    with SharedDirectory() as mine:
        assert not left.exists(), "whoever starts next removes it"
        os.utime(mine.path, (0, 0))
        with SharedDirectory():
            assert mine.path.exists(), "but none that is in use"
    assert not mine.path.exists()
    assert strange.exists(), "and none of somebody else"
    strange.rmdir()


class TestPlace:
    """When there is somebody again in the place of a worker that has died."""

    def test_one_that_has_served_is_replaced_at_once(self) -> None:
        place = Place("worker-0")
        assert [place.vacate(60) for _ in range(5)] == [0] * 5
        assert place.due <= time.monotonic()

    def test_those_that_die_of_their_start_are_replaced_after_pauses_that_grow(self) -> None:
        place = Place("worker-0")
        pauses = [place.vacate(1) for _ in range(12)]
        assert (pauses[0], pauses[-1]) == (0, 30)
        assert pauses == sorted(pauses)
        assert place.due > time.monotonic() + 20
        assert place.vacate(60) == 0
        assert place.vacate(1) == 0


def test_a_machine_without_room_for_another_process_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = Supervisor(uvicorn.Config("unused", workers=2), listener, Patience(0, 0))
    with started._shared:
        monkeypatch.setattr(supervisor, "Worker", fail)
        started._fill()
        assert started._workers() == []
        assert len([line for line in caplog.messages if "Could not start a worker" in line]) == 2
        monkeypatch.setattr(supervisor, "Worker", lambda *arguments: object())
        started._fill()
        assert len(started._workers()) == 2
