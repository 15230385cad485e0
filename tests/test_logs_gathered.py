"""Lines that come in a burst are written together, whole and in their order, and late by a moment at most."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import REGISTRY

from app import logs
from app.logs import ConsoleLines, QueuedHandler
from tests.support.server import Server
from tests.support.strace import attached, read_calls
from tests.support.waiting import SECONDS, wait_until

FOR_EVER = 3600.0
PIECE = 4096
"""POSIX has no pipe that takes less in one piece."""


class Written:
    """Stands for `os` where lines are written, and keeps each write by itself."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.failures: list[int] = []
        """For each of the next writes that fail, after how many bytes it does."""

    def write(self, descriptor: int, data: bytes) -> int:
        assert self.goes_on.wait(SECONDS)
        if self.failures:
            most = self.failures[0]
            if most == 0:
                self.failures.pop(0)
                raise OSError(28, "No space left on device")
            self.failures[0] -= len(data[:most])
            data = data[:most]
        self.pieces.append(data)
        return len(data)

    @property
    def lines(self) -> list[str]:
        return b"".join(self.pieces).decode().splitlines()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    made = Written()
    system = SimpleNamespace(write=made.write, **{name: getattr(os, name) for name in NEEDED})
    monkeypatch.setattr(logs, "os", system)
    return made


NEEDED = ("dup", "open", "close", "devnull", "O_WRONLY")


@pytest.fixture
def handler(request: pytest.FixtureRequest, written: Written) -> Iterator[QueuedHandler]:
    """It gathers for as many seconds as the test says, by default for ever."""
    made = QueuedHandler(None, "gathered", getattr(request, "param", FOR_EVER))
    made.setFormatter(ConsoleLines())
    yield made
    written.goes_on.set()
    made.close()
    made._writer.join(SECONDS)


gathers = pytest.mark.parametrize("handler", [0.05], indirect=True)
at_once = pytest.mark.parametrize("handler", [0], indirect=True)


def log(handler: QueuedHandler, number: int, size: int) -> None:
    """A line of so many bytes at least, with its number."""
    text = f"<{number}> {'x' * size}"
    handler.handle(logging.LogRecord("app.test", logging.INFO, __file__, 1, text, (), None))


def numbers(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search("<([0-9]+)>", line))]


def lost() -> float:
    return REGISTRY.get_sample_value("artifact_proxy_lost_log_lines_total", {"log": "gathered"}) or 0


class TestABurst:
    @pytest.mark.parametrize("size", [1, 100, 1000, 2000, 4000, 6000])
    def test_is_written_in_order_by_whole_lines_and_in_pieces_that_a_pipe_takes_at_once(
        self, handler: QueuedHandler, written: Written, size: int
    ) -> None:
        for number in range(100):
            log(handler, number, size if number % 3 else 7 * number)
        assert written.pieces == []
        handler.close()
        assert numbers(written.lines) == list(range(100))
        assert all(piece.endswith(b"\n") for piece in written.pieces)
        assert all(len(piece) <= PIECE or piece.count(b"\n") == 1 for piece in written.pieces)
        for piece, behind in pairwise(written.pieces):
            assert len(piece) + behind.index(b"\n") + 1 > PIECE  # it could not have taken one more

    @gathers
    def test_is_all_that_waits(self, handler: QueuedHandler, written: Written) -> None:
        """One line alone comes too, and whatever comes while others are written."""
        for number in range(3):
            log(handler, number, 10)
            wait_until(lambda: len(written.lines) == number + 1, "it is written")  # noqa: B023 - called in the same turn
        assert len(written.pieces) == 3

    @at_once
    def test_is_not_waited_for_where_nothing_is_gathered(
        self, handler: QueuedHandler, written: Written
    ) -> None:
        written.goes_on.clear()
        log(handler, 0, 10)
        wait_until(lambda: not handler._waiting, "the first one is being written")
        for number in range(1, 4):
            log(handler, number, 10)
        written.goes_on.set()
        wait_until(lambda: len(written.lines) == 4, "the others are, too")
        assert [piece.count(b"\n") for piece in written.pieces] == [1, 3]
        assert numbers(written.lines) == [0, 1, 2, 3]


class TestLoss:
    @at_once
    def test_is_counted_by_lines_where_nothing_of_them_can_be_written(
        self, handler: QueuedHandler, written: Written
    ) -> None:
        before = lost()
        written.goes_on.clear()
        written.failures = [0, 0]
        log(handler, 0, 10)
        wait_until(lambda: not handler._waiting, "the first one is being written")
        for number in range(1, 10):
            log(handler, number, 10)
        written.goes_on.set()
        wait_until(lambda: lost() - before == 10, "all are lost")
        log(handler, 10, 10)
        wait_until(lambda: numbers(written.lines) == [10], "the next one is written")
        assert written.lines[0].endswith(" WARNING 10 lines are missing here: they could not be written.")
        assert len(written.lines) == 2

    def test_is_counted_by_those_that_are_not_written_whole(
        self, handler: QueuedHandler, written: Written
    ) -> None:
        before = lost()
        for number in range(10):
            log(handler, number, 10)
        size = len(handler._waiting[0][0])
        written.failures = [5 * size + 3]
        handler.close()
        wait_until(lambda: lost() - before == 5, "half of them are lost")
        assert numbers(written.lines) == [0, 1, 2, 3, 4]

    @gathers
    def test_begins_where_there_is_no_room_any_more(
        self, handler: QueuedHandler, written: Written, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "WAITING_BYTES", 10_000)
        before = lost()
        written.goes_on.clear()
        log(handler, 0, 1000)
        wait_until(lambda: not handler._waiting, "the first one is being written")
        for number in range(1, 30):
            log(handler, number, 1000)
        waiting = len(handler._waiting)
        assert waiting == 9
        assert lost() - before == 29 - waiting
        written.goes_on.set()
        wait_until(lambda: len(written.lines) == 1 + waiting, "what waited is written")
        log(handler, 30, 10)
        wait_until(lambda: numbers(written.lines)[-1] == 30, "and what comes then")
        assert numbers(written.lines) == [*range(1 + waiting), 30]
        assert written.lines[-2].endswith(
            f" {29 - waiting} lines are missing here: they could not be written."
        )


def test_only_lines_about_requests_are_gathered() -> None:
    handlers = logs.configuration("console")["handlers"]
    assert handlers["server"]["gather"] == 0
    assert 0 < handlers["access"]["gather"] <= 0.1


def test_a_server_writes_them_in_few_pieces(
    *,
    serve: Callable[..., Server],
    client: httpx.Client,
    need: Callable[[str], str],
    need_root: None,
    tmp_path: Path,
) -> None:
    server, requests = serve(), 200
    place = re.escape(str(server.log_file))
    log = tmp_path / "strace.log"
    with attached(need("strace"), server.process.pid, log, "-s", "8192", "-e", "trace=write"):
        for number in range(requests):
            client.get(f"{server.native}/none-{number}")
        wait_until(lambda: f"none-{requests - 1} " in server.log(), "the last one is written")
    pieces = [call.text for call in read_calls(log) if re.match(rf"write\(\d+<{place}>", call.text)]
    asked = [re.findall(r"/none-(\d+) ", piece) for piece in pieces]
    assert [int(number) for piece in asked for number in piece] == list(range(requests))
    assert all(re.search(r'\\n", \d+\) += \d+$', piece) for piece in pieces)
    assert all(int(re.findall(r"= (\d+)$", piece)[0]) <= PIECE for piece in pieces)
    assert len(pieces) < requests
