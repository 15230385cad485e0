"""P16: what is too much gets 503 and Retry-After, health stays quick, and afterwards all is served again."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.crowd import Outcome, crowd, download, statuses, upload
from tests.support.object_store import ObjectStore, seaweedfs
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.scraping import scrape
from tests.support.server import Server, running
from tests.support.usage import descriptors, threads
from tests.support.waiting import wait_until

MIB = 1024 * 1024
CONTENT = secrets.token_bytes(MIB)
STALL = 0.5
OPEN_FILES = 256
QUICK_SECONDS = 5
"""For a machine that does much else; nothing else that is waited for here is over so soon."""
SLOW_SECONDS = 30


@contextmanager
def watched(server: Server) -> Iterator[None]:
    """Health is asked for again and again meanwhile, each time on a new connection, and always answered."""
    over = threading.Event()
    answers: list[tuple[int, bool]] = []

    def watch() -> None:
        while not over.wait(0.05):
            began = time.monotonic()
            status = exchange(server.url, head("GET", "/health")).status
            answers.append((status, time.monotonic() - began < QUICK_SECONDS))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    assert len(answers) > 3
    assert set(answers) == {(200, True)}


def storm(server: Server, each: int, content: bytes = CONTENT) -> list[Outcome]:
    """What comes of so many slow uploads and as many slow downloads at once."""
    clients = [upload(server.url, f"storm/{number}", content, STALL) for number in range(each)]
    clients += [download(server.url, "kept", CONTENT, STALL) for _ in range(each)]
    return crowd(clients)


def parts_left(store: ObjectStore, bucket: str) -> list[str]:
    """The keys of uploads that hold bytes. One that was begun unheard has no part, and is the store's own."""
    with closing(store.client()) as client:
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return [
            upload["Key"]
            for upload in uploads
            if client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]).get("Parts")
        ]


def require_full_service(server: Server, client: httpx.Client) -> None:
    """All is given back, and as many requests as are ever served at once are served."""
    in_flight, waiting = "artifact_proxy_transfers_in_flight", "artifact_proxy_transfers_waiting"
    wait_until(lambda: scrape(server, client).value(in_flight) == 0, "no transfer is running")
    assert scrape(server, client).value(waiting) == 0
    outcomes = storm(server, 8)
    assert all(outcome.complete for outcome in outcomes), statuses(outcomes)


def test_p16_more_connections_than_descriptors_are_told_so_and_health_is_answered(
    client: httpx.Client, tmp_path: Path
) -> None:
    flags = ("--admission-timeout", "60", "--durability", "none")
    with running(tmp_path / "root", *flags, open_files=OPEN_FILES) as server:
        client.put(f"{server.native}/kept", content=CONTENT).raise_for_status()
        used = []
        for each in (500, 50):
            with watched(server):
                outcomes = storm(server, each)
            complete = [outcome for outcome in outcomes if outcome.complete]
            refused = [outcome for outcome in outcomes if outcome.status == 503]
            assert len(complete) > 10
            assert len(complete) + len(refused) == len(outcomes), statuses(outcomes)
            assert all(outcome.retry_after > 0 for outcome in refused)
            require_full_service(server, client)
            wait_until(lambda: not server.staged(), "nothing of refused uploads is left")
            used.append(descriptors(server.process.pid))
        assert used[1] <= used[0] + 10
        assert "Exception in ASGI" not in server.log()


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It has few descriptors, and a place for one transfer."""
    flags = ("--max-transfers", "1", "--storage-threads", "4", "--admission-timeout", "60")
    with running(tmp_path_factory.mktemp("tight") / "root", *flags, open_files=128) as server:
        yield server


def test_p16_requests_that_do_not_end_use_no_descriptors_up(tight: Server) -> None:
    with ExitStack() as stack:
        for number in range(300):
            opened = stack.enter_context(connection(tight.url))
            with suppress(ConnectionError):
                opened.sendall(b"GET /v1/artifacts/a HTTP/1.1\r\nHost:")
            if number % 10 == 0:  # so what was sent before is read by now
                assert exchange(tight.url, head("GET", "/health")).status == 200
    assert exchange(tight.url, head("PUT", "/v1/artifacts/a", "Content-Length: 1") + b"x").status == 201


def test_p16_an_upload_that_waits_is_given_up_when_its_client_is_gone(
    tight: Server, client: httpx.Client
) -> None:
    def waiting() -> float:
        return scrape(tight, client).value("artifact_proxy_transfers_waiting")

    with connection(tight.url) as running_one:
        running_one.sendall(head("PUT", "/v1/artifacts/b", "Content-Length: 1"))
        wait_until(tight.staged, "one has the place")
        with connection(tight.url) as leaving:
            leaving.sendall(head("PUT", "/v1/artifacts/c", "Content-Length: 2") + b"x")
            wait_until(waiting, "the other waits")
        wait_until(lambda: not waiting(), "nobody waits")
        running_one.sendall(b"x")
        assert read_answer(running_one).status == 201
    assert "c" not in tight.tree()


def test_p16_a_store_that_stands_still_stops_only_what_needs_it(client: httpx.Client, tmp_path: Path) -> None:
    flags = (
        *("--s3-timeout", "3", "--admission-timeout", "1", "--sweep-interval", "1"),
        *("--storage-threads", "4", "--max-transfers", "30", "--s3-part-size", str(5 * MIB)),
    )
    large = CONTENT * 6  # in two parts
    with seaweedfs(tmp_path / "store") as store:
        assert store.process
        bucket = store.make_bucket()
        variables = store.environment() | {"AWS_MAX_ATTEMPTS": "1"}
        with running(
            f"s3://{bucket}/root", *flags, environment=variables, log_file=tmp_path / "log"
        ) as server:
            client.put(f"{server.native}/kept", content=CONTENT).raise_for_status()
            require_full_service(server, client)
            usual = descriptors(server.process.pid), threads(server.process.pid)

            threading.Timer(STALL, store.process.send_signal, [signal.SIGSTOP]).start()
            began = time.monotonic()
            with watched(server):
                outcomes = storm(server, 30, large)
            assert time.monotonic() - began < SLOW_SECONDS
            store.process.send_signal(signal.SIGCONT)
            told = statuses(outcomes)
            assert told[503] > 0
            assert told[504] > 0
            assert told.keys() <= {200, 201, 503, 504}
            assert all(outcome.retry_after > 0 for outcome in outcomes if outcome.status == 503)

            for reason in ("places", "threads"):
                assert scrape(server, client).value("artifact_proxy_requests_shed_total", reason=reason) > 0
            require_full_service(server, client)
            wait_until(lambda: not parts_left(store, bucket), "no part of an upload is left")
            wait_until(lambda: descriptors(server.process.pid) <= usual[0] + 20, "descriptors are given back")
            assert threads(server.process.pid) <= usual[1] + 20
            assert "Exception in ASGI" not in server.log()
