"""P12: a download that fails in the middle is visibly short to every client, or goes on and is whole."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import requests

from tests.support.access_log import complete_log
from tests.support.interposer_actions import cut_body, refuse, stall_body
from tests.support.object_store import seaweedfs
from tests.support.raw import connection, head
from tests.support.s3_chain import MIB, PREFIX
from tests.support.s3_front import Front, impatient
from tests.support.s3_variables import served
from tests.support.server import Server

DATA = os.urandom(8 * MIB)
PARTIAL_FILE = 18
"""With this curl ends where less came than was announced."""


@pytest.fixture(scope="module")
def hasty(shared_front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """For a store that stalls, beside `front`."""
    with impatient(shared_front, tmp_path_factory.mktemp("hasty") / "log") as started:
        yield started


def read(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """What comes, and whether that is all of it."""
    received = b""
    try:
        for piece in pieces:
            received += piece
    except httpx.RemoteProtocolError:
        return received, False
    return received, True


@pytest.mark.parametrize("what", ["cut", "silent"])
def test_p12_a_download_whose_storage_breaks_off_or_falls_silent_is_visibly_short(
    front: Front, hasty: Front, folder: str, what: str
) -> None:
    asked, action = (front, cut_body(2 * MIB)) if what == "cut" else (hasty, stall_body(2 * MIB))
    front.put(f"{folder}/a", DATA)
    front.interposer.on("GetObject", action)
    front.interposer.on("GetObject", refuse, times=None)
    with front.client.stream("GET", asked.url(f"{folder}/a")) as response:
        assert response.status_code == 200
        assert int(response.headers["content-length"]) == len(DATA)
        received, whole = read(response.iter_raw())
    assert not whole
    assert DATA.startswith(received)
    assert len(received) < len(DATA)
    assert "Cut the download of" in complete_log(asked.server)


def by_httpx(url: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        httpx.get(url, timeout=60)


def by_requests(url: str) -> None:
    """As MLflow's clients download."""
    with (
        requests.get(url, stream=True, timeout=60) as response,
        pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"),
    ):
        for _ in response.iter_content(MIB):
            pass


def by_curl(url: str) -> None:
    command = ["curl", "--disable", "--silent", "--max-time", "60", "--output", os.devnull, url]
    assert subprocess.run(command, check=False).returncode == PARTIAL_FILE


@pytest.mark.parametrize("download", [by_httpx, by_requests, by_curl])
def test_p12_every_client_sees_an_incomplete_body(
    front: Front, folder: str, need: Callable[[str], str], download: Callable[[str], None]
) -> None:
    need("curl")
    front.put(f"{folder}/a", DATA)
    front.interposer.on("GetObject", cut_body(2 * MIB))
    front.interposer.on("GetObject", refuse, times=None)
    download(front.url(f"{folder}/a"))


def test_p12_a_download_whose_connection_alone_breaks_goes_on_and_is_whole(front: Front, folder: str) -> None:
    front.put(f"{folder}/a", DATA)
    for after in (0, MIB, 2 * MIB + 1):
        front.interposer.on("GetObject", cut_body(after))
    assert front.get(f"{folder}/a").content == DATA
    assert not front.interposer.unused()


def test_p12_a_download_of_what_is_replaced_meanwhile_is_short_and_never_mixed(
    front: Front, hasty: Front, folder: str
) -> None:
    front.put(f"{folder}/a", DATA)
    front.interposer.on("GetObject", stall_body(6 * MIB))
    with front.client.stream("GET", hasty.url(f"{folder}/a")) as response:
        pieces = response.iter_raw()
        first = next(pieces)
        front.direct.put_object(Bucket=front.bucket, Key=f"{PREFIX}{folder}/a", Body=os.urandom(8 * MIB))
        rest, whole = read(pieces)
    assert not whole
    assert DATA.startswith(first + rest)


def test_p12_a_download_from_a_store_that_is_killed_is_visibly_short(
    client: httpx.Client, tmp_path: Path
) -> None:
    data = os.urandom(40 * MIB)  # more than what connections hold
    with seaweedfs(tmp_path / "store") as store:
        root = f"s3://{store.make_bucket()}/root"
        with served(root, store.environment(), tmp_path) as server:
            client.put(f"{server.native}/a", content=data).raise_for_status()
            with client.stream("GET", f"{server.native}/a") as response:
                pieces = response.iter_raw()
                first = next(pieces)
                assert store.process
                store.process.kill()
                store.process.wait()
                rest, whole = read(pieces)
            assert not whole
            assert data.startswith(first + rest)
            assert client.get(f"{server.native}/a").status_code == 502


def test_p12_a_download_of_a_local_file_that_is_cut_short_is_visibly_short(
    server: Server, client: httpx.Client, folder: str
) -> None:
    size = 30_000_000
    client.put(f"{server.native}/{folder}/a", content=bytes(size))
    with connection(server.url) as connected:
        connected.sendall(head("GET", f"/v1/artifacts/{folder}/a"))
        received = len(connected.recv(1000))
        with (server.root / folder / "a").open("r+b") as file:
            file.truncate(5_000_000)
        while data := connected.recv(1 << 20):
            received += len(data)
    assert received < size
    assert "cut short" in complete_log(server)
