"""The commands as processes: on a terminal, in pipes, interrupted and gone on with."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifact_proxy import Client
from tests.support.interposer import Interposer
from tests.support.interposer_actions import hang_before_body, stall_body
from tests.support.patched import ROOT
from tests.support.server import Server, clean_environment
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "app"]
CONTENT = os.urandom(20_000_000)
ENOUGH = 5_000_000


@pytest.fixture
def path(remote: Client, folder: str) -> str:
    remote.put_bytes(CONTENT, f"{folder}/a.bin")
    return f"{folder}/a.bin"


@pytest.fixture
def environment(server: Server) -> dict[str, str]:
    return clean_environment() | {"ARTIFACT_PROXY_SERVER": server.url, "PYTHONPATH": str(ROOT)}


def on_terminal(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """The status of a command, and what a terminal has shown of its standard error."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words], env=environment | {"TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=its
    ) as process:
        os.close(its)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # nobody is at the other end any more
                break
    os.close(ours)
    return process.returncode, shown.decode()


class TestTerminal:
    def test_shows_how_far_a_download_is(self, environment: dict[str, str], path: str, place: Path) -> None:
        status, shown = on_terminal(environment, "get", path)
        assert status == 0
        assert shown.startswith("\ra.bin:   0%")
        assert "a.bin: 100%" in shown
        assert "19.1M/19.1M" in shown
        assert (place / "a.bin").read_bytes() == CONTENT

    def test_shows_how_far_all_uploads_are_and_each_large_one(
        self, environment: dict[str, str], folder: str, place: Path
    ) -> None:
        (place / "d").mkdir()
        (place / "d" / "large").write_bytes(CONTENT)
        (place / "d" / "small").write_bytes(b"x")
        status, shown = on_terminal(environment, "put", "d", folder)
        assert status == 0
        assert "2 files: 100%" in shown
        assert "large: " in shown
        assert "small: " not in shown

    def test_shows_errors_and_nothing_else_where_that_is_wanted(
        self, environment: dict[str, str], path: str
    ) -> None:
        assert on_terminal(environment, "get", "-q", path) == (0, "")
        status, shown = on_terminal(environment, "get", "-q", f"{path}.none")
        assert (status, shown) == (3, f"artifact-proxy: There is no artifact '{path}.none'.\r\n")


class TestPipe:
    def test_shows_no_progress(self, environment: dict[str, str], path: str, place: Path) -> None:
        made = subprocess.run([*COMMAND, "get", path], env=environment, capture_output=True)
        assert (made.returncode, made.stdout, made.stderr) == (0, b"", b"")
        assert (place / "a.bin").read_bytes() == CONTENT

    def test_takes_and_gives_bytes(self, environment: dict[str, str], remote: Client, folder: str) -> None:
        words = f'head -c 300000 /dev/zero | "$@" put - {folder}/a && "$@" cat {folder}/a | wc -c'
        made = subprocess.run(
            ["sh", "-c", words, "sh", *COMMAND], env=environment, capture_output=True, text=True
        )
        assert (made.returncode, made.stdout.strip(), made.stderr) == (0, "300000", "")
        assert remote.read(f"{folder}/a") == bytes(300_000)

    def test_that_nobody_reads_ends_it_quietly(self, environment: dict[str, str], path: str) -> None:
        source, sink = os.pipe()
        os.close(source)
        made = subprocess.run([*COMMAND, "cat", path], env=environment, stdout=sink, stderr=subprocess.PIPE)
        os.close(sink)
        assert (made.returncode, made.stderr) == (141, b"")

    def test_to_a_full_disk_is_an_error(self, environment: dict[str, str], path: str) -> None:
        with open("/dev/full", "wb") as full:
            made = subprocess.run(
                [*COMMAND, "cat", path], env=environment, stdout=full, stderr=subprocess.PIPE
            )
        assert made.returncode == 1
        assert (
            made.stderr
            == b"artifact-proxy: The standard output cannot be written: No space left on device.\n"
        )

    def test_is_not_needed(self, environment: dict[str, str], path: str, place: Path) -> None:
        words = f'"$@" get {path} && "$@" ls'
        made = subprocess.run(
            ["sh", "-c", f"{{ {words}; }} <&- >&- 2>&-", "sh", *COMMAND], env=environment, check=False
        )
        assert made.returncode == 0
        assert (place / "a.bin").read_bytes() == CONTENT


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def slow(front: Interposer) -> Iterator[Interposer]:
    front.clear()
    yield front
    front.forget_rules()


class TestInterruption:
    def test_of_a_download_is_gone_on_with_by_the_next(
        self, environment: dict[str, str], slow: Interposer, path: str, place: Path
    ) -> None:
        slow.on(lambda request: request.method == "GET", stall_body(ENOUGH))
        words = ["get", path, "--server", slow.url]
        with running(environment, *words) as process:
            wait_until(lambda: _kept(place) > ENOUGH - 300_000, "most of what comes is written")
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert process.communicate() == ("", "")
        kept = _kept(place)
        assert [file.suffix for file in place.iterdir()] == [".part"]
        slow.clear()
        again = subprocess.run([*COMMAND, *words], env=environment, capture_output=True)
        assert (again.returncode, again.stderr) == (0, b"")
        assert [file.name for file in place.iterdir()] == ["a.bin"]
        assert (place / "a.bin").read_bytes() == CONTENT
        ranges = [request.headers.get("range") for request in slow.requests()]
        assert ranges == [None, None, f"bytes={kept}-", None]

    def test_of_uploads_leaves_nothing(
        self, environment: dict[str, str], server: Server, slow: Interposer, folder: str, place: Path
    ) -> None:
        for name in ("a", "b"):
            (place / name).write_bytes(CONTENT)
        slow.on(lambda request: request.method == "PUT", hang_before_body, times=None)
        with running(environment, "put", "a", "b", f"{folder}/", "--server", slow.url) as process:
            wait_until(lambda: len(slow.requests()) == 2, "both are under way")
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert process.communicate() == ("", "")
        assert not (server.root / folder).exists()

    def test_between_two_attempts_does_not_wait(self, environment: dict[str, str]) -> None:
        with running(environment, "ls", "--server", "http://127.0.0.1:1", "--retries", "50") as process:
            assert process.stderr is not None
            assert "Trying again in" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait() == 130
            assert "Traceback" not in process.stderr.read()

    def test_by_sigterm_ends_it_at_once(
        self, environment: dict[str, str], slow: Interposer, path: str, place: Path
    ) -> None:
        slow.on(lambda request: request.method == "GET", stall_body(ENOUGH))
        with running(environment, "get", path, "--server", slow.url) as process:
            wait_until(lambda: _kept(place) > 0, "something is written")
            process.send_signal(signal.SIGTERM)
            assert process.wait() == -signal.SIGTERM
            assert process.communicate() == ("", "")


def _kept(place: Path) -> int:
    """Bytes of the one part that is there."""
    return sum(file.stat().st_size for file in place.glob(".*.part"))
