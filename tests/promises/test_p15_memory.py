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
from tests.support.usage import PER_CONNECTION, forget_peak, peak, resident
from tests.support.waiting import wait_until

MIB = 1024 * 1024
PART = 5 * MIB
LARGE = secrets.token_bytes(PART)
"""As much as an upload to S3 may hold: so a few of them pass what all may hold, if nobody counts."""
CONTENT = LARGE[: 5 * MIB // 2]
STALL = 0.2


def peak_above_idle(
    server: Server, client: httpx.Client, uploads: int, downloads: int, uploaded: bytes = CONTENT
) -> int:
    """Of so many slow clients, all at once and all of them served."""
    url, process = server.url, server.process.pid
    client.put(f"{server.native}/large", content=CONTENT).raise_for_status()
    _warm_up(server, client)
    idle = resident(process)
    forget_peak(process)
    clients = [upload(url, f"slow/{number}", uploaded, STALL) for number in range(uploads)]
    clients += [download(url, "large", CONTENT, STALL) for _ in range(downloads)]
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
    memory, each = 16 * MIB, 50
    server = serve("--transfer-memory", str(memory), "--admission-timeout", "100", "--durability", "none")
    used = peak_above_idle(server, client, each, each)
    assert used < memory + 2 * each * PER_CONNECTION
    require_empty(server, client)


def test_p15_memory_of_a_root_in_s3_is_bounded_by_the_settings(
    serve: Callable[..., Server], client: httpx.Client, object_store: ObjectStore, bucket: str
) -> None:
    """By each of the two: uploads alone would pass the bound without the one, downloads without the other."""
    memory, upload_memory, uploads, downloads = 16 * MIB, PART, 16, 48
    server = serve(
        *("--transfer-memory", str(memory), "--s3-upload-memory", str(upload_memory)),
        *("--s3-part-size", str(PART), "--admission-timeout", "100"),
        root=f"s3://{bucket}/root",
        **object_store.environment(),
    )
    used = peak_above_idle(server, client, uploads, downloads, LARGE)
    assert used < memory + upload_memory + (uploads + downloads) * PER_CONNECTION
    require_empty(server, client)
