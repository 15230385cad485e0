"""P15: memory is bounded by the configuration, not by how many clients there are, how slow, or by sizes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.crowd import crowd, download, statuses, upload
from tests.support.object_store import ObjectStore
from tests.support.scraping import scrape
from tests.support.server import Server
from tests.support.usage import forget_peak, peak, resident
from tests.support.waiting import wait_until

MIB = 1024 * 1024
CONTENT = secrets.token_bytes(3 * MIB // 2)
STALL = 0.2
PER_CONNECTION = 384 * 1024
"""What the server may read of a request before it is let in, and what it knows of a connection."""


def peak_above_idle(server: Server, client: httpx.Client, each: int) -> int:
    """Of so many slow clients that upload, and as many that download, all at once and all of them served."""
    url, process = server.url, server.process.pid
    client.put(f"{server.native}/large", content=CONTENT).raise_for_status()
    _warm_up(server, client)
    idle = resident(process)
    forget_peak(process)
    clients = [upload(url, f"slow/{number}", CONTENT, STALL) for number in range(each)]
    clients += [download(url, "large", CONTENT, STALL) for _ in range(each)]
    outcomes = crowd(clients)
    assert all(outcome.complete for outcome in outcomes), statuses(outcomes)
    return peak(process) - idle


def _warm_up(server: Server, client: httpx.Client) -> None:
    """Has the server load what it needs, and start its threads."""

    def round_trip(number: int) -> None:
        client.put(f"{server.native}/small/{number}", content=CONTENT[:MIB]).raise_for_status()
        client.get(f"{server.native}/small/{number}").raise_for_status()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(round_trip, range(32)))


def require_empty(server: Server, client: httpx.Client) -> None:
    wait_until(
        lambda: scrape(server, client).value("artifact_proxy_transfers_in_flight") == 0, "all have ended"
    )
    assert scrape(server, client).value("artifact_proxy_transfers_waiting") == 0


def test_p15_memory_of_a_local_root_is_bounded_by_the_settings(
    serve: Callable[..., Server], client: httpx.Client
) -> None:
    memory, each = 32 * MIB, 80
    server = serve("--transfer-memory", str(memory), "--admission-timeout", "100", "--durability", "none")
    used = peak_above_idle(server, client, each)
    assert used < memory + 2 * each * PER_CONNECTION
    require_empty(server, client)


def test_p15_memory_of_a_root_in_s3_is_bounded_by_the_settings(
    serve: Callable[..., Server], client: httpx.Client, object_store: ObjectStore, bucket: str
) -> None:
    memory, upload_memory, each = 16 * MIB, 10 * MIB, 40
    server = serve(
        *("--transfer-memory", str(memory), "--s3-upload-memory", str(upload_memory)),
        *("--admission-timeout", "100"),
        root=f"s3://{bucket}/root",
        **object_store.environment(),
    )
    used = peak_above_idle(server, client, each)
    assert used < memory + upload_memory + 2 * each * PER_CONNECTION
    require_empty(server, client)
