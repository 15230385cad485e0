"""Bodies in JSON take room by what they announce, not by the most that could come of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.support.raw import connection, head
from tests.support.scraping import scrape
from tests.support.server import Server, running
from tests.support.waiting import wait_until

MULTIPART = "/api/2.0/mlflow-artifacts/mpu"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It has little room, and nobody waits for it."""
    flags = ("--transfer-memory", str(16 * 1024 * 1024), "--admission-timeout", "0")
    with running(tmp_path_factory.mktemp("small") / "root", *flags) as started:
        yield started


@pytest.mark.parametrize("step", ["create", "complete", "abort"])
def test_those_that_stall_keep_nobody_from_anything(small: Server, client: httpx.Client, step: str) -> None:
    client.put(f"{small.native}/a", content=b"data").raise_for_status()
    with ExitStack() as stalled:
        for _ in range(40):
            connected = stalled.enter_context(connection(small.url))
            request = head(
                "POST", f"{MULTIPART}/{step}/x", "Content-Type: application/json", "Content-Length: 100"
            )
            connected.sendall(request + b"{")
        wait_until(
            lambda: scrape(small, client).value("artifact_proxy_transfers_in_flight", kind="multipart") >= 40,
            "all have been let in",
        )
        assert client.get(f"{small.native}/a").content == b"data"


def test_one_that_announces_all_there_is_has_it(small: Server, client: httpx.Client) -> None:
    announced = head(
        "POST", f"{MULTIPART}/complete/x", "Content-Type: application/json", "Content-Length: 1000000"
    )
    with ExitStack() as stalled:
        for _ in range(17):
            stalled.enter_context(connection(small.url)).sendall(announced + b"{")
        wait_until(
            lambda: scrape(small, client).value("artifact_proxy_requests_shed_total", reason="memory") == 1,
            "there is no room for the last one",
        )
