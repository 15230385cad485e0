"""Clients that stall are given up; those that are merely slow, or wait for us, are not."""

from __future__ import annotations

import asyncio
import shutil
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from typing import cast

import httpx
import pytest

from app.api.pace import Pace, Watch, watched
from app.errors import TransferTooSlow
from app.server.protocol import WAITING_REQUESTS
from tests.support.access_log import logged
from tests.support.event_loop import run
from tests.support.raw import connection, head, read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

PACE = Pace(rate=100, patience=10)
QUICK = Pace(rate=1000, patience=0.1)


class FakeLoop:
    """As much of an event loop as knows the time."""

    now = 1000.0

    def time(self) -> float:
        return self.now


class Transfer:
    """A client that is watched in a time of its own."""

    def __init__(self, pace: Pace = PACE) -> None:
        self.loop = FakeLoop()
        self.watch = Watch(pace, cast(AbstractEventLoop, self.loop))

    def moves(self, size: int, seconds: float) -> bool:
        """Whether the client was given up before it had moved that much."""
        self.watch.waits()
        self.loop.now += seconds
        over = self.watch.is_over()
        self.watch.moved(size)
        return over


class TestWatch:
    def test_a_client_may_stall_for_as_long_as_the_patience_lasts(self) -> None:
        assert not Transfer().moves(1, 10)
        assert Transfer().moves(1, 10.1)

    def test_a_steady_one_above_the_rate_is_never_given_up(self) -> None:
        transfer = Transfer()
        assert not any(transfer.moves(200, 2) for _ in range(1000))
        assert not any(transfer.moves(900, 9) for _ in range(1000))

    def test_one_below_it_is_given_up_once_it_has_fallen_behind_too_far(self) -> None:
        transfer = Transfer()
        assert [transfer.moves(50, 1) for _ in range(22)].index(True) == 19

    def test_what_fell_behind_can_be_made_up_for(self) -> None:
        transfer = Transfer()
        for _ in range(10):
            assert not transfer.moves(0, 9)
            assert not transfer.moves(1000, 0.5)

    def test_nobody_saves_up_for_a_pause(self) -> None:
        transfer = Transfer()
        assert not transfer.moves(10**9, 1)
        assert transfer.moves(1, 10.1)

    def test_the_time_in_which_storage_works_does_not_count(self) -> None:
        transfer = Transfer()
        for _ in range(10):
            assert not transfer.moves(1, 0.5)
            transfer.loop.now += 3600
            assert not transfer.watch.is_over()


class TestWatched:
    def test_a_transfer_that_stalls_ends(self) -> None:
        async def stalled() -> None:
            async with watched(QUICK) as watch:
                watch.waits()
                await asyncio.Event().wait()

        with pytest.raises(TransferTooSlow, match=r"1000 bytes per second for 0\.1 seconds"):
            asyncio.run(stalled())

    def test_slow_storage_does_not_end_it(self) -> None:
        async def main() -> None:
            async with watched(QUICK) as watch:
                watch.waits()
                watch.moved(1)
                await asyncio.sleep(3 * QUICK.patience)

        run(main())

    @pytest.mark.parametrize("error", [TimeoutError, asyncio.CancelledError, ValueError])
    def test_what_else_ends_it_stays_what_it_is(self, error: type[BaseException]) -> None:
        async def ended() -> None:
            async with watched(QUICK) as watch:
                watch.waits()
                raise error

        with pytest.raises(error):
            asyncio.run(ended())

    def test_without_a_rate_nothing_is_watched(self) -> None:
        async def main() -> None:
            async with watched(Pace(rate=0, patience=1)) as watch:
                watch.waits()
                await asyncio.sleep(0)
                watch.moved(0)
                assert not watch.is_over()

        run(main())


RATE, PATIENCE = 20_000, 0.4
TARGETS = ("/v1/artifacts/many/", "/v1/artifacts/small")
GAVE_UP = "Gave up a client that took less than"
REQUESTS = WAITING_REQUESTS
"""Whose answers are more than what waits at a client and on the way to it."""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--min-transfer-rate", str(RATE), "--transfer-patience", str(PATIENCE), "--max-transfers", "1")
    with running(tmp_path_factory.mktemp("pace") / "root", *flags) as server:
        yield server


def idle(server: Server, client: httpx.Client) -> Callable[[], bool]:
    """Whether the only place for transfers is free."""
    return lambda: client.get(f"{server.native}/none").status_code == 404


class TestOverHttp:
    @pytest.mark.parametrize("framing", ["Content-Length: 1000", "Transfer-Encoding: chunked"])
    def test_an_upload_that_stalls_is_408_and_leaves_nothing(
        self, impatient: Server, client: httpx.Client, framing: str
    ) -> None:
        with connection(impatient.url) as connected:
            began = time.monotonic()
            connected.sendall(head("PUT", "/v1/artifacts/a", framing) + b"1\r\nx\r\n")
            answer = read_answer(connected)
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert b"REQUEST_LIMIT_EXCEEDED" in answer.body
            assert time.monotonic() - began >= PATIENCE
            assert connected.recv(1) == b""
        assert impatient.staged() == []
        assert impatient.tree() == {}
        assert idle(impatient, client)()

    def test_a_few_bytes_now_and_then_are_not_enough(self, impatient: Server) -> None:
        with connection(impatient.url) as connected:
            connected.sendall(head("PUT", "/v1/artifacts/a", "Content-Length: 1000"))
            connected.settimeout(PATIENCE / 20)
            for _ in range(1000):
                connected.sendall(b"x")
                try:
                    if connected.recv(1, 2):  # MSG_PEEK
                        break
                except TimeoutError:
                    pass
            connected.settimeout(20)
            assert read_answer(connected).status == 408

    def test_a_json_body_that_stalls_is_408(self, impatient: Server) -> None:
        with connection(impatient.url) as connected:
            target = "/api/2.0/mlflow-artifacts/mpu/create/d"
            fields = ("Content-Type: application/json", "Content-Length: 100")
            connected.sendall(head("POST", target, *fields) + b"{")
            assert read_answer(connected).status == 408

    def test_a_slow_upload_above_the_rate_is_taken(self, impatient: Server, client: httpx.Client) -> None:
        def steadily() -> Iterator[bytes]:
            for _ in range(10):
                time.sleep(PATIENCE / 4)
                yield bytes(int(RATE * PATIENCE))

        assert client.put(f"{impatient.native}/steady", content=steadily()).status_code == 201
        client.delete(f"{impatient.native}/steady").raise_for_status()

    def test_a_download_that_nobody_takes_is_cut(self, impatient: Server, client: httpx.Client) -> None:
        size = 60_000_000
        file = impatient.root / "large"
        with file.open("wb") as opened:
            opened.truncate(size)
        before = impatient.log().count(GAVE_UP)
        with connection(impatient.url) as connected:
            connected.sendall(head("GET", "/v1/artifacts/large"))
            wait_until(lambda: impatient.log().count(GAVE_UP) > before, "it is cut")
            wait_until(idle(impatient, client), "its place is free")
            port = connected.getsockname()[1]
            wait_until(lambda: port not in _peers(impatient), "what is left of it is not kept for ever")
            received = 0
            while data := connected.recv(1 << 20):
                received += len(data)
        assert 0 < received < size
        file.unlink()

    @pytest.fixture
    def filled(self, impatient: Server) -> Iterator[None]:
        """A directory and a file, either of which soon fills the buffers on the way."""
        many, small = impatient.root / "many", impatient.root / "small"
        many.mkdir()
        for number in range(1500):
            (many / f"{number:0200}").touch()
        small.write_bytes(bytes(400_000))
        yield
        small.unlink()
        shutil.rmtree(many)

    @pytest.mark.parametrize("target", TARGETS)
    def test_answers_to_requests_in_advance_that_nobody_takes_are_cut(
        self, impatient: Server, client: httpx.Client, filled: None, target: str
    ) -> None:
        before = impatient.log().count(GAVE_UP)
        with connection(impatient.url) as connected:
            connected.sendall(head("GET", target) * REQUESTS)
            wait_until(lambda: impatient.log().count(GAVE_UP) > before, "it is cut")
            wait_until(idle(impatient, client), "its place is free")
            port = connected.getsockname()[1]
            wait_until(lambda: port not in _peers(impatient), "what is left of it is not kept for ever")
        assert 0 < len(logged(impatient, target)) < REQUESTS

    def test_whoever_takes_them_gets_all_of_them(self, impatient: Server, filled: None) -> None:
        requests = b"".join(head("GET", target) for target in TARGETS) * 10
        with connection(impatient.url) as connected:
            connected.sendall(requests + head("GET", "/health", "Connection: close"))
            with connected.makefile("rb") as stream:
                received = stream.read()
        assert received.count(b"HTTP/1.1 200 OK\r\n") == 21
        assert received.endswith(b"\r\n\r\nOK")


def _peers(server: Server) -> list[int]:
    """The ports of the clients that the server has a connection to."""
    import psutil

    return [each.raddr.port for each in psutil.Process(server.process.pid).net_connections() if each.raddr]
