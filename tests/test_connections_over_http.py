"""What clients see of the limit of connections, and of the time that a request's head may take."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import socket

import httpx
import pytest

from app.server.descriptors import SURPLUS
from tests.support.patched import patched
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.scraping import scrape
from tests.support.server import Server, running
from tests.support.waiting import wait_until

LIMIT = 3
HEAD_SECONDS = 2


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It may have three connections at once, and waits less long for heads than others."""
    directory = tmp_path_factory.mktemp("small")
    shorter = patched(
        directory / "patched",
        "from app.server import connections",
        f"connections.HEAD_SECONDS = {HEAD_SECONDS}",
    )
    with running(directory / "root", "--max-connections", str(LIMIT), environment=shorter) as server:
        (server.root / "file").write_bytes(b"data")
        yield server


@contextmanager
def uploading(server: Server, count: int) -> Iterator[list[socket]]:
    """Connections that are all busy, each with an upload of one byte that does not come."""
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            opened.append(stack.enter_context(connection(server.url)))
            opened[-1].sendall(head("PUT", f"/v1/artifacts/{number}", "Content-Length: 1"))
            wait_until(lambda: len(server.staged()) == len(opened), "the upload has begun")
        yield opened
    wait_until(lambda: not server.staged(), "the uploads are over")


@contextmanager
def asked_on_each(server: Server, count: int, request: bytes) -> Iterator[None]:
    """Connections that stay open after the answer to their `request`."""
    with ExitStack() as stack:
        for _ in range(count):
            opened = stack.enter_context(connection(server.url))
            opened.sendall(request)
            assert read_answer(opened).status
        yield


def test_where_all_are_busy_others_are_told_to_come_back(small: Server) -> None:
    with uploading(small, 3) as busy:
        for target in ("/v1/artifacts/file", "/version"):
            refused = exchange(small.url, head("GET", target))
            assert refused.status == 503
            assert 1 <= int(refused.headers["retry-after"]) <= 10
            assert refused.headers["connection"] == "close"
            assert json.loads(refused.body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
        for target in ("/health", "/metrics"):
            answered = exchange(small.url, head("GET", target))
            assert (answered.status, answered.headers["connection"]) == (200, "close")
        busy[0].sendall(b"x")
        assert read_answer(busy[0]).status == 201
        assert exchange(small.url, head("GET", "/v1/artifacts/file")).body == b"data"


def test_one_that_is_idle_makes_room(small: Server) -> None:
    with uploading(small, 2), connection(small.url) as idle:
        idle.sendall(head("GET", "/v1/artifacts/file"))
        assert read_answer(idle).status == 200
        with connection(small.url) as newcomer:
            for _ in range(2):
                newcomer.sendall(head("GET", "/v1/artifacts/file"))
                assert read_answer(newcomer).body == b"data"
            assert idle.recv(1) == b""


def test_an_upload_that_is_one_too_many_gets_its_answer_while_it_still_sends(small: Server) -> None:
    with uploading(small, 3):
        request = head("PUT", "/v1/artifacts/large", "Content-Length: 3000000") + bytes(3_000_000)
        assert exchange(small.url, request).status == 503
    assert "large" not in small.tree()


def test_answered_ones_whose_body_never_comes_make_room(small: Server) -> None:
    with asked_on_each(small, LIMIT, head("GET", "/health", "Content-Length: 10")):
        assert exchange(small.url, head("GET", "/v1/artifacts/file")).body == b"data"


@pytest.mark.parametrize(
    "request_head",
    [head("GET", "/health", "Content-Length: 10"), head("GET", "/health", "Transfer-Encoding: gzip")],
    ids=["answered", "refused"],
)
def test_those_that_have_their_answer_and_stay_do_not_keep_health_from_others(
    small: Server, request_head: bytes
) -> None:
    with uploading(small, LIMIT), asked_on_each(small, 2 * SURPLUS, request_head):
        assert exchange(small.url, head("GET", "/health")).status == 200


def test_a_head_that_does_not_end_is_408(small: Server) -> None:
    with connection(small.url) as slow, connection(small.url) as silent:
        slow.sendall(head("GET", "/health") + b"GET /health HTTP/1.1\r\nX-Request-Id: mine\r\nHost:")
        assert read_answer(slow).status == 200
        answer = read_answer(slow)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert json.loads(answer.body)["request_id"] == "mine"
        assert (slow.recv(1), silent.recv(1)) == (b"", b"")


def test_the_log_tells_of_many_that_are_refused_in_one_line(small: Server, client: httpx.Client) -> None:
    def told() -> list[int]:
        return [int(count) for count in re.findall(r"Refused (\d+) connections", small.log())]

    before, began = len(told()), time.monotonic()
    with uploading(small, LIMIT):
        for _ in range(SURPLUS):
            assert exchange(small.url, head("GET", "/version")).status == 503
    seconds = time.monotonic() - began
    refused = scrape(small, client).value("artifact_proxy_requests_shed_total", reason="connections")
    wait_until(lambda: sum(told()) == refused, "all are told of")
    assert len(told()) - before <= seconds + 2
    assert "503" not in "".join(re.findall("Refused what came from.*", small.log()))
