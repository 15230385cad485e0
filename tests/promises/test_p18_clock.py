"""P18: the server's clock may be set forward or back while it runs, or stand still."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.support.artifacts import path
from tests.support.clock import YEAR, Clock, libfaketime
from tests.support.raw import connection, head, read_answer
from tests.support.s3_chain import PART, PREFIX, Chain
from tests.support.server import Server, running
from tests.support.waiting import wait_until

SIZE = 6_000_000
PATIENCE = 4


@pytest.fixture(scope="module")
def library() -> Path:
    found = libfaketime()
    if found is None:
        pytest.skip("libfaketime is not installed; scripts/setup installs it")
    return found


@pytest.fixture(scope="module")
def its_clock(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Clock:
    clock = Clock(library, tmp_path_factory.mktemp("clock") / "time")
    clock.be_right()
    return clock


@pytest.fixture
def clock(its_clock: Clock) -> Iterator[Clock]:
    yield its_clock
    its_clock.be_right()


@pytest.fixture(scope="module")
def timed(its_clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has its time from the clock."""
    root = tmp_path_factory.mktemp("timed") / "root"
    flags = ("--sweep-interval", "0.1", "--transfer-patience", str(PATIENCE))
    with running(root, *flags, environment=its_clock.environment()) as server:
        yield server


@pytest.fixture(params=[f"+{YEAR}", f"-{YEAR}"], ids=["forward", "back"])
def offset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def date(answer: httpx.Response, header: str) -> datetime:
    return parsedate_to_datetime(answer.headers[header])


def has_jumped(server: Server, client: httpx.Client) -> bool:
    """Whether the server tells another time than this machine."""
    told = date(client.get(f"{server.url}/health"), "Date")
    return abs(told - datetime.now(UTC)).days > 300


def test_p18_transfers_in_flight_go_on_and_nothing_that_lives_is_swept(
    timed: Server, client: httpx.Client, clock: Clock, folder: str, offset: str
) -> None:
    data = bytes(range(256)) * (SIZE // 256)
    client.put(f"{timed.native}/{folder}/old", content=data).raise_for_status()
    with connection(timed.url) as upload, connection(timed.url) as download:
        upload.sendall(head("PUT", f"/v1/artifacts/{folder}/new", f"Content-Length: {len(data)}"))
        upload.sendall(data[: len(data) // 2])
        download.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        download.sendall(head("GET", f"/v1/artifacts/{folder}/old"))
        assert download.recv(1, socket.MSG_PEEK)
        wait_until(timed.staged, "the upload has begun")
        clock.jump(offset)
        wait_until(lambda: has_jumped(timed, client), "the clock has jumped")
        for _ in range(8):  # so long that the pace of both is looked at
            (timed.staging / "leftover").write_bytes(b"x")
            wait_until(lambda: "leftover" not in timed.staged(), "the sweeper goes on")
        upload.sendall(data[len(data) // 2 :])
        assert read_answer(upload).status == 201
        assert read_answer(download).body == data
    assert client.get(f"{timed.native}/{folder}/new").content == data


def test_p18_requests_and_their_conditions_are_answered_as_ever(
    timed: Server, client: httpx.Client, clock: Clock, folder: str, offset: str
) -> None:
    url = f"{timed.native}/{folder}/a"
    first = client.put(url, content=b"first").headers["ETag"]
    clock.jump(offset)
    wait_until(lambda: has_jumped(timed, client), "the clock has jumped")
    assert client.get(url, headers={"If-None-Match": first}).status_code == 304
    assert client.put(url, content=b"x", headers={"If-None-Match": "*"}).status_code == 412
    second = client.put(url, content=b"other", headers={"If-Match": first}).headers["ETag"]
    assert second != first
    assert client.put(url, content=b"x", headers={"If-Match": first}).status_code == 412
    answer = client.get(url, headers={"If-None-Match": first})
    assert (answer.content, answer.headers["ETag"]) == (b"other", second)
    since = answer.headers["Last-Modified"]
    assert client.get(url, headers={"If-Modified-Since": since}).status_code == 304
    assert client.put(url, content=b"third", headers={"If-Unmodified-Since": since}).status_code == 200
    assert [entry["size"] for entry in client.get(f"{timed.native}/{folder}/").json()["entries"]] == [5]
    clock.be_right()
    wait_until(lambda: not has_jumped(timed, client), "the clock is right again")
    assert client.put(url, content=b"x", headers={"If-Match": second}).status_code == 412
    assert client.get(url).content == b"third"
    assert client.delete(url).status_code == 204


def test_p18_an_artifact_was_never_modified_later_than_it_is_now(
    timed: Server, client: httpx.Client, clock: Clock, folder: str
) -> None:
    """Whatever the time is: a cache must not take it for fresher than it is (RFC 9110, section 8.8.2.1)."""
    url = f"{timed.native}/{folder}/a"
    for offset in ("+0", f"+{YEAR}", "+0", f"-{YEAR}", "+3s", "+0"):
        clock.jump(offset)
        for _ in range(5):
            client.put(url, content=b"data").raise_for_status()
            for answer in (client.get(url), client.head(url)):
                assert date(answer, "Last-Modified") <= date(answer, "Date")


def test_p18_no_version_has_the_etag_of_an_earlier_one_though_the_clock_stands_still_or_goes_back(
    timed: Server, client: httpx.Client, clock: Clock, folder: str
) -> None:
    url = f"{timed.native}/{folder}/a"
    moment = datetime.now(UTC).replace(microsecond=0)
    etags = []
    for second in (9, 8, 9):
        clock.stand_still(moment.replace(second=second))
        etags += [client.put(url, content=b"%d" % (number % 10)).headers["ETag"] for number in range(10)]
    assert len(set(etags)) == len(etags)
    modified = (timed.root / folder / "a").stat().st_mtime_ns // 10**6
    assert modified == moment.replace(second=9).timestamp() * 1000, "the clock does stand still"


def test_p18_a_stalled_client_is_given_up_in_time_though_the_clock_goes_back(
    timed: Server, client: httpx.Client, clock: Clock, folder: str
) -> None:
    with connection(timed.url) as connected:
        connected.sendall(head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {SIZE}"))
        wait_until(timed.staged, "the upload has begun")
        clock.jump(f"-{YEAR}")
        assert read_answer(connected).status == 408
    wait_until(lambda: not timed.staged(), "nothing of the upload is left")


def test_p18_a_server_that_drains_waits_for_transfers_and_not_for_ever(clock: Clock, tmp_path: Path) -> None:
    with running(tmp_path / "root", "--drain-timeout", "2", environment=clock.environment()) as server:
        with connection(server.url) as goes_on, connection(server.url) as stalls:
            for connected, name in ((goes_on, "a"), (stalls, "b")):
                connected.sendall(head("PUT", f"/v1/artifacts/{name}", "Content-Length: 2"))
            wait_until(lambda: len(server.staged()) == 2, "the uploads have begun")
            server.process.send_signal(signal.SIGTERM)
            clock.jump(f"+{YEAR}")
            goes_on.sendall(b"ok")
            assert read_answer(goes_on).status == 201
            clock.jump(f"-{YEAR}")
            assert server.process.wait(20) == 0
        assert server.tree() == {"a": b"ok"}
        assert server.staged() == []


def test_p18_with_s3_an_upload_is_as_old_as_the_store_says(
    clock: Clock, second_chain: Chain, client: httpx.Client, tmp_path: Path
) -> None:
    """A server whose clock is wrong sweeps. moto takes its requests, which most stores would refuse."""
    data = b"x" * (2 * PART + 1)
    chain = second_chain
    with (
        running(
            f"s3://{chain.bucket}/{PREFIX}",
            "--sweep-interval",
            "0.1",
            environment=chain.store.environment(chain.interposer.url) | clock.environment(),
            log_file=tmp_path / "log",
        ) as server,
        chain.storage.create(path("a"), size=len(data)) as upload,
    ):
        others = chain.leftovers()
        upload.write(data[:-1])
        assert len(chain.own()) == 1
        for offset in (f"+{YEAR}", f"-{YEAR}"):
            clock.jump(offset)
            wait_until(lambda: has_jumped(server, client), "the clock has jumped")
            chain.interposer.clear()
            wait_until(lambda: len(chain.interposer.requests("ListObjectsV2")) > 2, "it has swept")
        upload.write(data[-1:])
        upload.commit()
        assert client.get(f"{server.native}/a").content == data
        assert chain.leftovers() == others
    assert "Removed" not in (tmp_path / "log").read_text()
