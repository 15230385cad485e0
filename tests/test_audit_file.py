"""Where the audit log is written, and what becomes of what cannot be."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from app.audit import AuditLog
from app.cli import main as command
from tests.support.guarded import audited
from tests.support.server import clean_environment, running
from tests.support.waiting import wait_until


class TestFile:
    def test_one_that_was_moved_away_is_made_again(self, tmp_path: Path) -> None:
        file = tmp_path / "audit.log"
        log = AuditLog(str(file))
        log.write({"event": "first"})
        wait_until(file.read_text, "the first line is written")
        file.rename(tmp_path / "audit.1")
        log.write({"event": "second"})
        log.close()
        assert [line["event"] for line in audited(tmp_path / "audit.1")] == ["first"]
        assert [line["event"] for line in audited(file)] == ["second"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o640

    def test_what_is_there_is_kept(self, tmp_path: Path) -> None:
        file = tmp_path / "audit.log"
        for event in ("first", "second"):
            log = AuditLog(str(file))
            log.write({"event": event})
            log.close()
            log.close()
            log.write({"event": "too late"})
        assert [line["event"] for line in audited(file)] == ["first", "second"]

    def test_none_is_written_where_none_is_wanted(self, tmp_path: Path) -> None:
        log = AuditLog("")
        log.write({"event": "x"})
        log.close()
        assert not log.enabled

    def test_standard_output_can_be_the_place(self, capfd: pytest.CaptureFixture[str]) -> None:
        log = AuditLog("-")
        log.write({"event": "x\n\u202e\x7f", "odd": "\ud800"})
        log.close()
        [line] = capfd.readouterr().out.splitlines()
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["event"] == "x\n\u202e\x7f"

    def test_behind_half_a_line_of_an_earlier_server_a_new_one_begins(self, tmp_path: Path) -> None:
        file = tmp_path / "audit.log"
        file.write_text('{"event": "requ')
        log = AuditLog(str(file))
        log.write({"event": "request"})
        log.close()
        half, whole = file.read_text().splitlines()
        assert half == '{"event": "requ'
        assert json.loads(whole)["event"] == "request"

    def test_a_pipe_without_a_reader_stops_the_start(
        self, no_variables: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pipe = tmp_path / "audit.log"
        os.mkfifo(pipe)
        root = str(tmp_path / "root")
        assert command(["--default-artifact-root", root, "--port", "0", "--audit-log", str(pipe)]) == 2
        assert "it cannot be written" in capsys.readouterr().err

    def test_a_reader_of_a_pipe_sees_no_end_before_that_of_the_server(self, tmp_path: Path) -> None:
        pipe = tmp_path / "audit.log"
        os.mkfifo(pipe)
        with ThreadPoolExecutor(1) as others:
            text = others.submit(pipe.read_text)
            with running(tmp_path / "root", "--audit-log", str(pipe)) as server:
                assert httpx.get(f"{server.native}/none").status_code == 404
        assert [json.loads(line)["status"] for line in text.result().splitlines()] == [404]

    def test_a_file_that_was_moved_away_is_let_go(self, tmp_path: Path) -> None:
        file = tmp_path / "audit.log"
        with running(tmp_path / "root", "--audit-log", str(file)) as server:
            httpx.get(f"{server.native}/none")
            wait_until(file.read_text, "it is written to")
            file.rename(tmp_path / "audit.1")
            httpx.get(f"{server.native}/none")
            wait_until(lambda: file.exists() and file.read_text(), "the next one is written to")
            opened = [each.path for each in psutil.Process(server.process.pid).open_files()]
        assert str(file) in opened
        assert str(tmp_path / "audit.1") not in opened

    def test_so_does_a_standard_output_that_is_closed(self, tmp_path: Path) -> None:
        root = str(tmp_path / "root")
        program = "exec {} -m app --default-artifact-root {} --port 0 --audit-log - >&-"
        ended = subprocess.run(
            ["bash", "-c", program.format(*map(shlex.quote, (sys.executable, root)))],
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=clean_environment(),
            check=False,
        )
        assert ended.returncode == 2
        assert ended.stderr == (
            "artifact-proxy: --audit-log='-' cannot be used: it cannot be written (it is closed).\n"
        )

    @pytest.mark.parametrize("place", ["missing/audit.log", ".", "a\0b"], ids=["missing", "directory", "NUL"])
    def test_one_that_cannot_be_written_stops_the_start(
        self, no_variables: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
    ) -> None:
        file = str(tmp_path / place)
        root = str(tmp_path / "root")
        assert command(["--default-artifact-root", root, "--port", "0", "--audit-log", file]) == 2
        message = capsys.readouterr().err
        assert message.startswith(
            f"artifact-proxy: --audit-log={file!r} cannot be used: it cannot be written"
        )
        assert message.count("\n") == 1
        assert not Path(root).exists()


class TestLosses:
    """What cannot be written is counted where it is missing, and nobody waits for it."""

    def test_lines_that_a_slow_disk_has_no_time_for_are_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("app.audit.WAITING_LINES", 5)
        pipe = tmp_path / "audit.log"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        log = AuditLog(str(pipe))
        for number in range(100):
            log.write({"event": "request", "number": number, "padding": "x" * 10_000})
        os.set_blocking(reader, True)
        with ThreadPoolExecutor(1) as others, os.fdopen(reader, "rb") as read:
            text = others.submit(read.read)
            log.close()
        lines = [json.loads(line) for line in text.result().splitlines()]
        written = [line["number"] for line in lines if line["event"] == "request"]
        lost = sum(line["lines"] for line in lines if line["event"] == "lost")
        assert written == sorted(set(written))
        assert lost > 0
        assert len(written) + lost == 100
        assert [record.getMessage() for record in caplog.records] == [
            "The audit log loses lines: they come faster than they can be written."
        ]

    def test_so_are_those_that_a_full_disk_does_not_take(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "audit.log"
        file.symlink_to("/dev/full")
        log = AuditLog(str(file))
        for _ in range(3):
            log.write({"event": "request"})
        wait_until(lambda: caplog.records, "the loss is told")
        file.unlink()
        log.write({"event": "request"})
        log.close()
        told, *written = audited(file)
        assert told["event"] == "lost"
        assert told["lines"] + len(written) == 4
        assert [record.getMessage() for record in caplog.records] == [
            "The audit log loses lines: they cannot be written (No space left on device)."
        ]

    def test_a_reader_that_stands_still_does_not_hold_up_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("app.audit.WAITING_LINES", 5)
        monkeypatch.setattr("app.audit._CLOSE_SECONDS", 0.1)
        pipe = tmp_path / "audit.log"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        log = AuditLog(str(pipe))
        log.write({"event": "request", "padding": "x" * 100_000})  # more than a pipe holds
        wait_until(log._lines.empty, "the writer stands still")
        for _ in range(20):
            log.write({"event": "request"})
        writer = log._writer
        assert writer is not None
        log.close()
        assert writer.is_alive()
        said = [record.getMessage() for record in caplog.records]
        assert said[-1] == "The audit log loses its last lines: they cannot be written in time."
        os.close(reader)
        writer.join(20)
        assert not writer.is_alive()

    def test_behind_half_a_line_a_new_one_begins(self, tmp_path: Path) -> None:
        file = tmp_path / "audit.log"
        # In a process of its own, as the limit is one for all files that a process writes.
        subprocess.run([sys.executable, "-c", FULL_AFTER_1000_BYTES, file], check=True, timeout=60)
        half, *lines = file.read_text().splitlines()
        assert len(half) == 1000
        assert [json.loads(line)["event"] for line in lines] == ["lost", "request"]


FULL_AFTER_1000_BYTES = """
import logging, resource, sys, threading
from app.audit import AuditLog

told = threading.Event()
handler = logging.Handler()
handler.emit = lambda record: told.set()
logging.getLogger("app.audit").addHandler(handler)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
log = AuditLog(sys.argv[1])
log.write({"event": "request", "padding": "x" * 2000})
assert told.wait(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
log.write({"event": "request"})
log.close()
"""
