"""P14: an archive of many members that is not unpacked in time is given up between two of them."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.roots import LocalRoot, Root, S3Root
from tests.support.many_members import many_members, send_many
from tests.support.object_store import ObjectStore
from tests.support.raw import connection
from tests.support.scraping import scrape
from tests.support.server import Server, running
from tests.support.waiting import wait_until

MEMBERS = {"local": 20_000, "s3": 2_000}
"""Which take far longer than they are given."""
FLAGS = ("--drain-timeout", "0.1", "--durability", "none")


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    if request.param == "local":
        yield LocalRoot(tmp_path / "root")
        return
    object_store: ObjectStore = request.getfixturevalue("object_store")
    bucket: str = request.getfixturevalue("bucket")
    with closing(object_store.client()) as client:
        yield S3Root(object_store, bucket, "some/root", client)


@pytest.fixture
def server(root: Root, tmp_path: Path) -> Iterator[Server]:
    log_file = tmp_path / "log"
    with running(root.location, *FLAGS, environment=root.environment, log_file=log_file) as server:
        yield server


@contextmanager
def unpacking(server: Server, root: Root) -> Iterator[socket.socket]:
    with connection(server.url) as connected:
        send_many(connected, "d", many_members(members_of(root)))
        yield connected


def members_of(root: Root) -> int:
    return MEMBERS["s3" if isinstance(root, S3Root) else "local"]


def stored(root: Root) -> list[str]:
    return [name for name in root.names() if name.startswith("d/") and name.count("/") == 2]


def end_in_time(server: Server) -> None:
    """As if nothing was left to do."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert "Aborting 1 requests that did not finish in time." in server.log()
    for unwanted in ("Traceback", "CancelledError", "still hangs", "sweeper", " ERROR "):
        assert unwanted not in server.log()


def left(server: Server, root: Root) -> list[str]:
    """Of uploads that are not over."""
    return root.unfinished() if isinstance(root, S3Root) else server.staged()


@pytest.mark.parametrize("root", ["local"], indirect=True)  # S3 has such small ones when they are published
def test_p14_an_archive_that_is_being_staged_leaves_nothing(
    server: Server, root: Root, client: httpx.Client
) -> None:
    def staged() -> float:
        name = "artifact_proxy_storage_call_duration_seconds_count"
        return scrape(server, client).value(name, operation="commit")

    with unpacking(server, root):
        wait_until(lambda: staged() > 5, "some members are staged")
        end_in_time(server)
    assert stored(root) == []
    assert left(server, root) == []


def test_p14_an_archive_that_is_being_published_leaves_whole_artifacts(server: Server, root: Root) -> None:
    with unpacking(server, root):
        wait_until(lambda: stored(root), "the first member is published")
        end_in_time(server)
    assert 0 < len(stored(root)) < members_of(root)
    assert left(server, root) == []
