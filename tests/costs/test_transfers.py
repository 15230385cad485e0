"""Each megabyte of a transfer costs the same, and none stays in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.costs.budgets import spend
from tests.support.instrumented import HANDED_OVER, Instrumented
from tests.support.strace import SystemCall, attached, read_calls

MIB = 1024 * 1024
DIRECTORY = "/v1/artifacts/transfers"
FEW, MANY = 8, 32
"""Megabytes."""
TIMES = 3
"""A client that is quick at times and slow at others has a transfer take a few calls more or less."""

Transfer = Callable[[int], None]
"""Of so many megabytes."""
Counted = Callable[..., float]


@pytest.fixture(scope="module")
def directory(counting: Instrumented) -> Path:
    made = counting.root / "transfers"
    made.mkdir()
    return made


@pytest.fixture
def download(counting: Instrumented, directory: Path) -> Transfer:
    with (directory / "large").open("wb") as file:
        file.truncate(MANY * MIB)  # a hole, which takes no memory here, and is read like all else

    def of(size: int) -> None:
        answer = counting.ask("GET", f"{DIRECTORY}/large", f"Range: bytes=0-{size * MIB - 1}")
        assert (answer.status, answer.headers["content-length"]) == (206, str(size * MIB))

    of(1)
    return of


@pytest.fixture
def upload(counting: Instrumented, directory: Path) -> Transfer:
    def of(size: int) -> None:
        assert counting.ask("PUT", f"{DIRECTORY}/new", body=bytes(size * MIB)).status == 201
        (directory / "new").unlink()

    of(1)
    return of


@pytest.fixture(params=["download", "upload"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def transfer(request: pytest.FixtureRequest, kind: str) -> Transfer:
    chosen: Transfer = request.getfixturevalue(kind)
    return chosen


def test_a_megabyte_makes_no_more_calls_than_it_may_however_many_there_are(
    counting: Instrumented, kind: str, transfer: Transfer
) -> None:
    each: dict[int, float] = {}
    for size in (FEW, MANY):
        calls = min((made_by(counting, transfer, size) for _ in range(TIMES)), key=Counter.total)
        each[size] = calls.total() / size
    spend(f"calls: 1 MiB of {kind}", each[MANY], calls, MANY)
    spend(f"hand-overs: {kind} of {MANY} MiB", calls[HANDED_OVER])
    assert each[MANY] <= each[FEW]  # of which more is for the request as a whole


def made_by(counting: Instrumented, transfer: Transfer, size: int) -> Counter[str]:
    """The calls; a client that is slow for a moment makes them more, so the least of several counts."""
    with counting.calls() as calls:
        transfer(size)
    return calls


def test_no_more_is_in_memory_than_may_be_however_large_a_transfer_is(
    counting: Instrumented, kind: str, transfer: Transfer
) -> None:
    for size in TIMES * (FEW, MANY):
        with counting.memory() as peak:
            transfer(size)
        spend(f"memory: {kind}", max(peak))


WATCHED = (
    *("read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg"),
    *("write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendfile", "splice"),
    *("fsync", "fdatasync", "sync_file_range", "open", "openat", "openat2"),
)
"""The system calls that move bytes, and those that wait for the disk or look for names."""
SOCKET = "<socket:["
"""As strace shows those of a connection."""


@pytest.fixture
def system_calls(
    counting: Instrumented, need: Callable[[str], str], need_root: None, tmp_path: Path
) -> Callable[[Transfer], Counted]:
    """How many a transfer makes that begin with one of these names, and concern a file or a socket."""

    def traced(transfer: Transfer, log: Path) -> list[SystemCall]:
        counting.settle()
        with attached(need("strace"), counting.server.process.pid, log, "-e", f"trace={','.join(WATCHED)}"):
            transfer(MANY)
            counting.settle()
        return list(read_calls(log))

    def made(transfer: Transfer) -> Counted:
        runs = [traced(transfer, tmp_path / f"strace-{number}.log") for number in range(TIMES)]

        def count(subject: str, *names: str) -> float:
            return min(
                sum(one.name.startswith(names) and subject in one.text for one in calls) for calls in runs
            )

        return count

    return made


def test_a_download_makes_no_more_system_calls_than_it_may(
    counting: Instrumented, download: Transfer, system_calls: Callable[[Transfer], Counted]
) -> None:
    count, file = system_calls(download), str(counting.root)
    spend("system calls: opening, download", count(file, "open"))
    moving = count(file, "read", "pread") + count(SOCKET, "write", "send")
    spend("system calls: from a file to a socket, 1 MiB of download", moving / MANY)


def test_an_upload_makes_no_more_system_calls_than_it_may(
    counting: Instrumented, upload: Transfer, system_calls: Callable[[Transfer], Counted]
) -> None:
    count, file = system_calls(upload), str(counting.root)
    spend("system calls: opening, upload", count(file, "open"))
    spend("system calls: from a socket, 1 MiB of upload", count(SOCKET, "read", "recv") / MANY)
    spend("system calls: to a file, 1 MiB of upload", count(file, "write", "pwrite") / MANY)
    spend("system calls: waiting for the disk, upload", count(file, "fsync", "fdatasync"))
    spend(f"system calls: writing back, upload of {MANY} MiB", count(file, "sync_file_range"))
