"""P1: whoever looks while artifacts are uploaded sees the old one or the new one, whole, or none."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import pytest

from tests.support.raw import connection, head, read_answer
from tests.support.repeating import repeating
from tests.support.s3_chain import MIB, PART
from tests.support.server import Server
from tests.support.waiting import wait_until

OLD = b"old" * MIB
NEW = bytes(range(256)) * ((PART + MIB) // 256)
"""With S3, of two parts."""


class Sight(NamedTuple):
    """What one look at an artifact shows of it; all None where there is none."""

    digest: str | None
    """Of what GET gives."""
    length: int | None
    """As HEAD tells it."""
    listed: int | None
    """Its size in the list of its directory."""


class Watch:
    """Looks again and again."""

    def __init__(self, client: httpx.Client, directory: str, name: str) -> None:
        self._client = client
        self._directory = directory
        self._name = name
        self._lock = threading.Lock()
        self.sights: list[Sight] = []

    def take(self) -> None:
        sight = self._look()
        with self._lock:
            self.sights.append(sight)

    def _look(self) -> Sight:
        url = f"{self._directory}/{self._name}"
        got, seen = self._client.get(url), self._client.head(url)
        listed = self._client.get(f"{self._directory}/")
        assert {got.status_code, seen.status_code, listed.status_code} <= {200, 404}
        entries = listed.json()["entries"] if listed.is_success else []
        return Sight(
            hashlib.sha256(got.content).hexdigest() if got.is_success else None,
            int(seen.headers["Content-Length"]) if seen.is_success else None,
            next((entry["size"] for entry in entries if entry["path"].endswith(f"/{self._name}")), None),
        )

    def take_looks(self) -> None:
        """Returns when there was a whole look since it was called."""
        enough = len(self.sights) + 2
        wait_until(lambda: len(self.sights) >= enough, "somebody has looked")


@contextmanager
def watching(client: httpx.Client, directory: str, name: str) -> Iterator[Watch]:
    watch = Watch(client, directory, name)
    with repeating(watch.take):
        yield watch


def sight(content: bytes | None) -> Sight:
    if content is None:
        return Sight(None, None, None)
    return Sight(hashlib.sha256(content).hexdigest(), len(content), len(content))


@pytest.fixture(params=["local", "s3"])
def over(request: pytest.FixtureRequest) -> Server:
    """A server over a root of each kind."""
    if request.param == "local":
        server: Server = request.getfixturevalue("server")
        return server
    started: Server = request.getfixturevalue("front").server
    return started


@pytest.mark.parametrize(
    ("old", "framing"),
    [(None, f"Content-Length: {len(NEW)}"), (OLD, "Transfer-Encoding: chunked")],
    ids=["new", "replaced"],
)
def test_p01_nothing_partial_is_seen_during_slow_and_interrupted_uploads(
    over: Server, client: httpx.Client, folder: str, old: bytes | None, framing: str
) -> None:
    directory = f"{over.native}/{folder}"
    if old is not None:
        client.put(f"{directory}/a", content=old).raise_for_status()
    request = head("PUT", f"/v1/artifacts/{folder}/a", framing)
    with watching(client, directory, "a") as watch:
        with connection(over.url) as connected:
            connected.sendall(request)
            send_all_but_the_last_byte(connected, framing, watch)
        watch.take_looks()
        with connection(over.url) as connected:
            connected.sendall(request)
            send_all_but_the_last_byte(connected, framing, watch)
            before = list(watch.sights)
            connected.sendall(coded(NEW[-1:], framing) + (b"0\r\n\r\n" if "chunked" in framing else b""))
            assert read_answer(connected).status == (201 if old is None else 200)
        watch.take_looks()
    assert len(before) > 12
    assert set(before) == {sight(old)}
    # GET, HEAD and the list come one after the other, so one look may show both.
    for seen, was, becomes in zip(zip(*watch.sights, strict=True), sight(old), sight(NEW), strict=True):
        assert set(seen) == {was, becomes}
    assert watch.sights[-1] == sight(NEW)


def send_all_but_the_last_byte(connected: socket.socket, framing: str, watch: Watch) -> None:
    """Slowly: between two pieces somebody looks."""
    for start in range(0, len(NEW) - 1, MIB):
        connected.sendall(coded(NEW[start : min(start + MIB, len(NEW) - 1)], framing))
        watch.take_looks()


def coded(piece: bytes, framing: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if "chunked" in framing else piece
