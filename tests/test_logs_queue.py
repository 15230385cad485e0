"""Lines of the server's log wait for whoever reads them, and nobody waits for the lines."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
import pytest
from prometheus_client import REGISTRY

from app import logs
from app.logs import ConsoleLines, QueuedHandler
from tests.support.raw import exchange, head
from tests.support.server import clean_environment, stop
from tests.support.waiting import comes_true

LOSS = "lines are missing here: they could not be written."
PIPE_BYTES = 4096
"""As little as Linux gives."""


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("app.test", logging.INFO, __file__, 1, message, arguments, None)


def lost() -> float:
    return REGISTRY.get_sample_value("artifact_proxy_lost_log_lines_total", {"log": "test"}) or 0


@pytest.fixture
def handler_to(tmp_path: Path) -> Iterator[Callable[[Path], QueuedHandler]]:
    """Makes a handler that writes to a file, or to a pipe that somebody has opened."""
    made: list[QueuedHandler] = []

    def opened(place: Path) -> QueuedHandler:
        with place.open("a") as stream:
            handler = QueuedHandler(stream, "test")
        handler.setFormatter(ConsoleLines())
        made.append(handler)
        return handler

    yield opened
    for handler in made:
        handler.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A small pipe, and the end at which nobody reads yet."""
    place = tmp_path / "pipe"
    os.mkfifo(place)
    reader = os.open(place, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(reader, True)
    yield place, reader
    os.close(reader)


def rest_of(reader: int) -> list[str]:
    with os.fdopen(os.dup(reader), "rb") as stream:
        return stream.read().decode().splitlines()


class TestAReaderThatStandsStill:
    def test_loses_what_finds_no_room_and_is_told_how_much_and_where(
        self,
        handler_to: Callable[[Path], QueuedHandler],
        pipe: tuple[Path, int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(logs, "WAITING_BYTES", 10_000)
        place, reader = pipe
        handler, before = handler_to(place), lost()
        for number in range(100):
            handler.handle(record("number %d %s", number, "x" * 1000))
        with ThreadPoolExecutor(1) as others:
            reading = others.submit(rest_of, reader)
            assert comes_true(lambda: not handler._waiting, 20)
            handler.handle(record("once more"))
            handler.close()
            *numbered, told, last = reading.result()
        assert [line.split()[3] for line in numbered] == [str(number) for number in range(len(numbered))]
        assert 9 <= len(numbered) < 20
        assert told.endswith(f" WARNING {100 - len(numbered)} {LOSS}")
        assert last.endswith(" INFO once more")
        assert lost() - before == 100 - len(numbered)

    def test_holds_up_no_end(
        self, handler_to: Callable[[Path], QueuedHandler], pipe: tuple[Path, int]
    ) -> None:
        handler = handler_to(pipe[0])
        for _ in range(10):
            handler.handle(record("x" * 1000))
        handler.close()
        assert handler._writer.is_alive()
        handler.handle(record("too late"))
        with ThreadPoolExecutor(1) as others:
            assert len(others.submit(rest_of, pipe[1]).result(20)) == 10

    def test_holds_up_no_server(self, tmp_path: Path) -> None:
        with unread(tmp_path / "root") as (process, url):
            target = f"{url}/v1/artifacts/{'x' * 200}"
            with httpx.Client(timeout=20) as client:
                for _ in range(60):
                    assert client.get(target).status_code == 404
            for _ in range(60):
                assert exchange(url, b"nonsense\r\n\r\n").status == 400
            assert exchange(url, head("GET", "/health")).status == 200
            process.terminate()
            assert process.wait(20) == 0
            assert process.stdout is not None
            assert process.stderr is not None
            assert len(process.stdout.read()) <= PIPE_BYTES
            assert b"Application startup complete." in process.stderr.read()


@contextmanager
def unread(root: Path) -> Iterator[tuple[Popen[bytes], str]]:
    """A server of whose output nobody reads more than where it listens."""
    command = [sys.executable, "-m", "app", "--default-artifact-root", str(root), "--port", "0"]
    process = Popen(command, stdout=PIPE, stderr=PIPE, env=clean_environment())
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for stream in (process.stdout, process.stderr):
            fcntl.fcntl(stream, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        url = process.stdout.readline().decode().split()[-1]
        assert comes_true(lambda: is_up(url), 60)
        yield process, url
    finally:
        stop(process)
        process.stdout.close()
        process.stderr.close()


def is_up(url: str) -> bool:
    try:
        return exchange(url, head("GET", "/health")).status == 200
    except OSError:
        return False


class TestWhatCannotBeWritten:
    def test_is_counted_and_told_once_there_is_room(
        self, handler_to: Callable[[Path], QueuedHandler], tmp_path: Path
    ) -> None:
        place, before = tmp_path / "full", lost()
        place.symlink_to("/dev/full")
        handler = handler_to(place)
        for _ in range(3):
            handler.handle(record("nowhere"))
        assert comes_true(lambda: handler._missing == 3, 20)
        freed = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
        os.dup2(freed, handler._descriptor)
        os.close(freed)
        handler.handle(record("somewhere"))
        handler.close()
        told, line = (tmp_path / "log").read_text().splitlines()
        assert told.endswith(f" WARNING 3 {LOSS}")
        assert line.endswith(" INFO somewhere")
        assert lost() - before == 3

    def test_goes_nowhere_without_a_standard_output(self) -> None:
        handler = QueuedHandler(None, "test")
        handler.handle(record("nowhere"))
        handler.close()
        assert not handler._missing

    def test_is_begun_anew_behind_half_a_line(self, tmp_path: Path) -> None:
        file = tmp_path / "log"
        # In a process of its own, as the limit is one for all files that a process writes.
        subprocess.run([sys.executable, "-c", FULL_AFTER_1000_BYTES, file], check=True, timeout=60)
        half, told, line = file.read_text().splitlines()
        assert len(half) == 1000
        assert told.endswith(f" 1 {LOSS}")
        assert line.endswith(" second")


FULL_AFTER_1000_BYTES = """
import logging, resource, signal, sys, time
from app.logs import ConsoleLines, QueuedHandler

with open(sys.argv[1], "a") as stream:
    handler = QueuedHandler(stream, "test")
handler.setFormatter(ConsoleLines())
logger = logging.getLogger("app.test")
logger.addHandler(handler)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
logger.error("first " + "x" * 2000)
deadline = time.monotonic() + 30
while not handler._missing:
    assert time.monotonic() < deadline
    time.sleep(0.01)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
logger.error("second")
"""


class TestTheEnd:
    """What was logged before is written, whatever ends the process."""

    ENDS = ("", "raise SystemExit(3)", "raise RuntimeError('the cause')")

    @pytest.mark.parametrize("end", ENDS)
    @pytest.mark.parametrize("log_format", ["console", "json"])
    def test_all_lines_come_before_it(self, end: str, log_format: str) -> None:
        ended = subprocess.run(
            [sys.executable, "-c", f"{LOGS_A_LOT}\n{end}", log_format],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert re.findall(r"number (\d+)", ended.stderr) == [str(number) for number in range(1000)]
        assert ended.stdout.count("asked") == 1
        assert ("the cause" in ended.stderr) is ("cause" in end)


LOGS_A_LOT = """
import logging, logging.config, sys
from app import logs

logging.config.dictConfig(logs.configuration(sys.argv[1]))
for number in range(1000):
    logging.getLogger("app.test").info("number %d", number)
logging.getLogger(logs.ACCESS).info("asked")
"""


def test_a_line_that_cannot_be_shown_is_told_where_it_should_be(
    handler_to: Callable[[Path], QueuedHandler], tmp_path: Path
) -> None:
    handler = handler_to(tmp_path / "log")
    handler.handle(record("number %d", "none"))
    handler.close()
    text = (tmp_path / "log").read_text()
    assert " WARNING A line of app.test cannot be shown.\n" in text
    assert "TypeError: %d format" in text
