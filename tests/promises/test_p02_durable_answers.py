"""P2: whoever is told that an artifact is stored will find it after a crash."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.support.interposer_actions import Action
from tests.support.interposer_exchange import Exchange
from tests.support.raw import connection, head, read_answer
from tests.support.s3_chain import PART, PREFIX
from tests.support.s3_front import Front
from tests.support.server import Server
from tests.support.strace import SystemCall, attached, read_calls
from tests.support.waiting import SECONDS, comes_true, wait_until

ANSWER = r'^(write|writev|sendto|sendmsg)\(.*"HTTP/1\.1 20[01] '


class Traced:
    """The system calls of a server until it has answered an upload."""

    def __init__(self, log: Path) -> None:
        self._calls = read_calls(log)

    def only(self, pattern: str) -> SystemCall:
        found = [call for call in self._calls if re.search(pattern, call.text)]
        assert len(found) == 1, (pattern, [call.text for call in self._calls])
        return found[0]


@pytest.fixture
def traced(
    server: Server, client: httpx.Client, need: Callable[[str], str], need_root: None, tmp_path: Path
) -> Callable[[str], Traced]:
    """Uploads an artifact while its server is traced."""

    def put(path: str) -> Traced:
        log = tmp_path / "strace.log"
        client.get(f"{server.url}/health")  # a connection that is there already
        with attached(need("strace"), server.process.pid, log, "-e", "trace=%file,%desc,%network"):
            assert client.put(f"{server.native}/{path}", content=b"data").is_success
        return Traced(log)

    return put


def in_this_order(*calls: SystemCall) -> bool:
    """Whether each was over before the next one began."""
    return all(one.ended < other.began for one, other in pairwise(calls))


def test_p02_the_bytes_are_synced_before_the_name_and_every_name_before_the_answer(
    traced: Callable[[str], Traced], server: Server, folder: str
) -> None:
    (server.root / folder).mkdir()
    calls = traced(f"{folder}/new/deeper/a")
    parent = re.escape(str(server.root / folder))
    answered = calls.only(ANSWER)
    named = calls.only(r'^rename\w*\(.*, "a"')
    assert in_this_order(
        calls.only(r'^writev?\(\d+<.*/staging/\w+>, .*"data"'),
        calls.only(r"^fsync\(\d+<.*/staging/\w+>"),
        named,
        calls.only(rf"^fsync\(\d+<{parent}/new/deeper>\)"),
        answered,
    )
    for made, synced in (("new", parent), ("deeper", f"{parent}/new")):
        made_there = rf'^mkdir\w*\(\d+<{synced}>, "{made}"'
        assert in_this_order(calls.only(made_there), calls.only(rf"^fsync\(\d+<{synced}>\)"), answered)


def test_p02_the_name_of_a_replacement_is_synced_before_the_answer(
    traced: Callable[[str], Traced], server: Server, client: httpx.Client, folder: str
) -> None:
    client.put(f"{server.native}/{folder}/a", content=b"old").raise_for_status()
    calls = traced(f"{folder}/a")
    assert in_this_order(
        calls.only(r"^fsync\(\d+<.*/staging/\w+>"),
        calls.only(r'^rename\w*\(.*, "a"'),
        calls.only(rf"^fsync\(\d+<{re.escape(str(server.root / folder))}>\)"),
        calls.only(ANSWER),
    )


def held(until: threading.Event) -> Action:
    """Lets the store do its work, and keeps its answer back."""

    def act(exchange: Exchange) -> None:
        response = exchange.forward()
        assert until.wait(SECONDS)
        exchange.reply(response)

    return act


@pytest.mark.parametrize(
    ("operation", "size"),
    [("PutObject", 1000), ("UploadPart", PART + 1), ("CompleteMultipartUpload", PART + 1)],
)
def test_p02_with_s3_the_answer_comes_after_that_of_the_store(
    front: Front, folder: str, operation: str, size: int
) -> None:
    until = threading.Event()
    key = f"{PREFIX}{folder}/a"
    rule = front.interposer.on(
        lambda request: request.operation == operation and request.key == key, held(until)
    )
    with connection(front.server.url) as connected:
        connected.sendall(head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {size}") + bytes(size))
        try:
            wait_until(lambda: rule.used, "the store is asked")
            connected.setblocking(False)
            assert not comes_true(lambda: has_come(connected), 0.3)
            connected.settimeout(SECONDS)
        finally:
            until.set()
        assert read_answer(connected).status == 201
    assert front.get(f"{folder}/a").content == bytes(size)


def has_come(connected: socket.socket) -> bool:
    """Whether there is something to be read."""
    try:
        return bool(connected.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
