"""Requests that are sent before the earlier ones are answered: they cost little until it is their turn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from socket import SHUT_RDWR, socket

import httpx
import psutil
import pytest

from app.server.protocol import WAITING_REQUESTS
from tests.support.raw import connection, head
from tests.support.server import Server, running
from tests.support.waiting import wait_until

PATIENCE = 1
GROWTH = 50_000_000
"""Several times what as many requests take as come at once."""


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--min-transfer-rate", "20000", "--transfer-patience", str(PATIENCE), "--max-transfers", "1")
    with running(tmp_path_factory.mktemp("pipelining") / "root", *flags, "--no-access-log") as server:
        with (server.root / "large").open("wb") as file:
            file.truncate(1_000_000_000)
        yield server


def memory(server: Server) -> int:
    """Bytes that the server's process holds."""
    return int(psutil.Process(server.process.pid).memory_info().rss)


def is_cut(connected: socket, more: bytes) -> bool:
    """Whether the server takes nothing any more, after as much of `more` as it takes at once."""
    try:
        while True:
            connected.send(more)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_without_end_whose_answers_nobody_takes_fill_no_memory(busy: Server, method: str) -> None:
    before = memory(busy)
    requests = head(method, "/health", "Content-Length: 0") * 5000
    with connection(busy.url) as connected:
        connected.setblocking(False)
        wait_until(lambda: is_cut(connected, requests) or memory(busy) > before + GROWTH, "it is cut")
    assert memory(busy) < before + GROWTH


def test_a_client_that_leaves_a_download_with_another_request_behind_it_is_no_failure(
    busy: Server, client: httpx.Client
) -> None:
    for _ in range(3):
        with connection(busy.url) as connected:
            connected.sendall(head("GET", "/v1/artifacts/large") + head("GET", "/health"))
            assert connected.recv(100_000)
        wait_until(lambda: client.get(f"{busy.native}/none").status_code == 404, "its place is free")
    assert "Traceback" not in busy.log()


def test_more_than_can_wait_are_left_without_an_answer_and_the_others_are_answered(busy: Server) -> None:
    with connection(busy.url) as connected:
        connected.sendall(head("GET", "/version") * (WAITING_REQUESTS + 50))
        with connected.makefile("rb") as stream:
            received = stream.read()
    assert received.count(b"HTTP/1.1 200 OK\r\n") == WAITING_REQUESTS + 1
    assert received.count(b"HTTP/1.1 ") == WAITING_REQUESTS + 1
    wait_until(lambda: "requests wait for their answers" in busy.log(), "it says so")


@pytest.mark.parametrize("ahead", [WAITING_REQUESTS, 0], ids=["too many", "behind the last"])
def test_the_last_answer_comes_whole_whatever_comes_behind_it(busy: Server, ahead: int) -> None:
    """Nobody reads that, and it must neither cut the answer nor have it reset away."""
    size = 25_000_000
    (busy.root / "two").write_bytes(bytes(size))
    last = head("GET", "/v1/artifacts/two", *(() if ahead else ("Connection: close",)))
    behind = head("GET", "/version") * 3 + head("PUT", "/v1/artifacts/behind", "Content-Length: 250000000")

    def send(connected: socket) -> None:
        with suppress(ConnectionError):
            connected.sendall(head("GET", "/version") * ahead + last + behind)
            for _ in range(250):
                connected.sendall(bytes(1_000_000))

    with connection(busy.url) as connected, ThreadPoolExecutor(1) as others:
        sent = others.submit(send, connected)
        received = 0
        with suppress(ConnectionResetError):  # once all has come
            while data := connected.recv(1_000_000):
                received += len(data)
        with suppress(OSError):
            connected.shutdown(SHUT_RDWR)
        sent.result()
    assert received > size
    assert not (busy.root / "behind").exists()


@pytest.mark.parametrize("complete", [1, 3])
def test_before_a_damaged_request_those_that_came_whole_are_done_and_answered(
    busy: Server, complete: int
) -> None:
    uploads = b"".join(
        head("PUT", f"/v1/artifacts/whole-{complete}/{number}", "Content-Length: 1") + b"x"
        for number in range(complete)
    )
    damaged = head("PUT", "/v1/artifacts/damaged", "Transfer-Encoding: chunked") + b"zz\r\n"
    with connection(busy.url) as connected:
        connected.sendall(uploads + damaged)
        with connected.makefile("rb") as stream:
            received = stream.read()
    assert received.count(b"HTTP/1.1 201 Created\r\n") == complete
    assert received.count(b"HTTP/1.1 ") == complete
    assert len(list((busy.root / f"whole-{complete}").iterdir())) == complete
    assert not (busy.root / "damaged").exists()


def test_an_upload_behind_other_requests_gets_its_body(busy: Server) -> None:
    """Nobody reads on while requests wait, and then somebody does."""
    body = bytes(range(256)) * 20_000
    upload = head("PUT", "/v1/artifacts/a", f"Content-Length: {len(body)}", "Connection: close")
    with connection(busy.url) as connected:
        connected.sendall(head("GET", "/version") * 50 + upload + body)
        with connected.makefile("rb") as stream:
            received = stream.read()
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 50
    assert received.count(b"HTTP/1.1 201 Created\r\n") == 1
    assert (busy.root / "a").read_bytes() == body
