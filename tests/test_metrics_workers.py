"""With several workers, whichever is asked tells what all of them have counted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.support.scraping import Scrape, scrape
from tests.support.server import Server
from tests.support.waiting import wait_until
from tests.support.workers import started_workers

UPLOADS = {"route": "/v1/artifacts/{path:path}", "method": "PUT"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """With a connection for each request, so that any worker may get it."""
    with httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0)) as opened:
        yield opened


def uploads(scraped: Scrape) -> float:
    return scraped.value("artifact_proxy_http_requests_total", **UPLOADS)


def disk_free(scraped: Scrape) -> float:
    return scraped.value("artifact_proxy_disk_free_bytes")


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Meanwhile another worker gets all requests."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_each_tells_of_all_and_forgets_nothing_when_one_is_killed(
    serve: Callable[..., Server], client: httpx.Client
) -> None:
    server = serve("--workers", "2")

    def upload(count: int) -> None:
        for number in range(count):
            client.put(f"{server.native}/{number}", content=b"x").raise_for_status()

    first, second = started_workers(server, 2)
    with stopped(first):
        upload(10)
    with stopped(second):
        upload(20)
    # A worker counts an upload after its answer, and would not while it is stopped.
    wait_until(lambda: uploads(scrape(server, client)) == 30, "the uploads of both are counted")
    for other in (first, second):
        with stopped(other):
            told = scrape(server, client)
            assert uploads(told) == 30
            assert told.value("artifact_proxy_http_request_duration_seconds_count", **UPLOADS) == 30
            assert told.value("artifact_proxy_build_info") == 1
            assert not [each for each in told.samples if "pid" in each.labels]

    os.kill(first, signal.SIGKILL)
    started_workers(server, 3)
    assert uploads(scrape(server, client)) == 30
    with stopped(second):
        upload(5)
        wait_until(lambda: uploads(scrape(server, client)) == 35, "those of the new worker are counted too")


def test_the_room_on_the_disk_stays_known_when_a_worker_is_replaced(
    serve: Callable[..., Server], client: httpx.Client
) -> None:
    server = serve("--workers", "2")
    first, second = started_workers(server, 2)
    with stopped(first):
        wait_until(lambda: disk_free(scrape(server, client)) > 0, "the second has looked")
    os.kill(first, signal.SIGKILL)
    started_workers(server, 3)
    told = [disk_free(scrape(server, client)) for _ in range(5)]
    with stopped(second):
        told.append(disk_free(scrape(server, client)))
    assert [value for value in told if not value > 0] == [], "neither NaN nor a full disk"
