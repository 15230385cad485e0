"""Downloads of what is in memory: they wait for no storage thread, and are the same as all others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.support.patched import patched
from tests.support.reads import CONTENT, READS, current, seen
from tests.support.scraping import scrape
from tests.support.server import Server, running
from tests.support.waiting import wait_until

LARGE = CONTENT * 11
"""Several chunks."""
NOTHING_AT_ONCE = "from app.storage.local.cached import CachedFiles; CachedFiles.below = lambda tree: None"
IN_TURNS = """
from itertools import cycle
from app.storage.local.download import LocalDownload
plain, turns = LocalDownload.next_at_once, cycle([None, True, True, None])
LocalDownload.next_at_once = lambda self: next(turns) and plain(self)
"""
HANGING_DELETION = """
import os, sys
def hang(event, arguments):
    if event == "os.remove" and arguments[0] == "hangs":
        open(os.environ["GOES_ON"]).read()
sys.addaudithook(hang)
"""
FLAGS = ("--storage-threads", "1", "--admission-timeout", "0.2", "--no-access-log")


@contextmanager
def holding(at: Path, log: Path, *patches: str, **environment: str) -> Iterator[Server]:
    variables = patched(log.with_suffix(".d"), *patches) | environment
    with running(at, *FLAGS, environment=variables, log_file=log) as server:
        yield server


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A directory whose files are all in memory."""
    with TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def goes_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("goes-on") / "fifo"
    os.mkfifo(place)
    return place


@pytest.fixture(scope="module")
def quick(memory: Path, goes_on: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over a root in memory, with one storage thread."""
    log = tmp_path_factory.mktemp("quick") / "log"
    with holding(memory / "root", log, HANGING_DELETION, GOES_ON=str(goes_on)) as server:
        for name, content in (("a.bin", CONTENT), ("large", LARGE), ("empty", b""), ("hangs", b"")):
            (server.root / name).write_bytes(content)
        (server.root / "d").mkdir()
        (server.root / "link").symlink_to("a.bin")
        yield server


@pytest.fixture(scope="module")
def others(quick: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two more over the same root: one has a thread do every read, the other one some of them."""
    logs = tmp_path_factory.mktemp("others")
    with (
        holding(quick.root, logs / "slow", NOTHING_AT_ONCE) as slow,
        holding(quick.root, logs / "in turns", IN_TURNS) as in_turns,
    ):
        yield [slow, in_turns]


def opened(server: Server, client: httpx.Client) -> float:
    """How many downloads the storage has begun."""
    name = "artifact_proxy_storage_call_duration_seconds_count"
    return scrape(server, client).value(name, operation="read", outcome="ok")


@pytest.mark.parametrize(("headers", "status"), READS)
def test_conditions_and_ranges_are_answered_as_ever(
    quick: Server, others: list[Server], client: httpx.Client, headers: dict[str, str], status: int
) -> None:
    etag = client.head(f"{quick.native}/a.bin").headers["etag"]
    for surface in ("/v1/artifacts", "/api/2.0/mlflow-artifacts/artifacts"):
        answers = [
            client.get(f"{server.url}{surface}/a.bin", headers=current(headers, etag))
            for server in (quick, *others)
        ]
        assert [seen(answer) for answer in answers[1:]] == [seen(answers[0])] * 2
        assert answers[0].status_code == status


@pytest.mark.parametrize("target", ["large", "empty", "none", "d", "d/none", "a.bin/x", "link", "%2e%2e"])
@pytest.mark.parametrize("asked", [{}, {"Range": "bytes=5-2000000"}, {"Range": "bytes=-7"}], ids=str)
def test_so_are_all_artifacts_and_what_is_none(
    quick: Server, others: list[Server], client: httpx.Client, target: str, asked: dict[str, str]
) -> None:
    answers = [client.get(f"{server.native}/{target}", headers=asked) for server in (quick, *others)]
    assert [seen(answer) for answer in answers[1:]] == [seen(answers[0])] * 2
    if target == "large":
        assert answers[0].content in {LARGE, LARGE[5:2_000_001], LARGE[-7:]}


def test_each_is_one_call_of_the_storage(quick: Server, client: httpx.Client) -> None:
    before = opened(quick, client)
    for target, headers in (("a.bin", {}), ("large", {}), ("a.bin", {"Range": "bytes=0-0"})):
        assert client.get(f"{quick.native}/{target}", headers=headers).is_success
    assert opened(quick, client) == before + 3


def test_while_all_storage_threads_hang_small_ones_are_read(
    quick: Server, goes_on: Path, client: httpx.Client
) -> None:
    etag = client.get(f"{quick.native}/a.bin").headers["etag"]
    with ThreadPoolExecutor(1) as others:
        deleting = others.submit(client.delete, f"{quick.native}/hangs")
        try:
            wait_until(lambda: client.get(f"{quick.native}/none").status_code == 503, "no thread is free")
            assert client.get(f"{quick.native}/a.bin").content == CONTENT
            assert client.get(f"{quick.native}/empty").content == b""
            part = client.get(f"{quick.native}/large", headers={"Range": "bytes=9-19"})
            assert (part.status_code, part.content) == (206, LARGE[9:20])
            again = client.get(f"{quick.native}/a.bin", headers={"If-None-Match": etag})
            assert again.status_code == 304
            failed = client.get(f"{quick.native}/a.bin", headers={"If-Match": '"other"'})
            assert failed.status_code == 412
            for asked in ({"Range": "bytes=9-", "If-Range": etag}, {"Range": "bytes=256000-"}):
                assert client.get(f"{quick.native}/a.bin", headers=asked).status_code == 503
        finally:
            goes_on.write_text("")
        assert deleting.result().status_code == 204
    assert not (quick.root / "hangs").exists()
