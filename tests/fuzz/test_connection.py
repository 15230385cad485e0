"""Damaged requests over a live connection: each has an HTTP answer or an end, and the server goes on."""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.conftest import Known
from tests.support.access import bearer
from tests.support.raw import TIMEOUT, connection, read_answer
from tests.support.server import Server
from tests.support.waiting import SECONDS, comes_true

MARK = b"TOKEN"
AS = b"Host: h\r\nAuthorization: Bearer TOKEN\r\n"
LISTING = b"/v1/artifacts/?recursive=true&max_results=5&page_token=YQ=="
MLFLOW = b"/api/2.0/mlflow-artifacts"
JSON = b'{"path": "x", "num_parts": 2}'
REQUESTS = [
    b"PUT /v1/artifacts/fuzz/a HTTP/1.1\r\n%bContent-Length: 5\r\n\r\nhello" % AS,
    b"PUT /v1/artifacts/fuzz/b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" % AS,
    b"PUT %b/artifacts/fuzz/c HTTP/1.1\r\n%bContent-Digest: sha-256=:AAAA:\r\n\r\n" % (MLFLOW, AS),
    b"PUT %b/artifacts/d HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: 0\r\n\r\n" % (MLFLOW, AS),
    b'GET /v1/artifacts/fuzz/a HTTP/1.1\r\n%bRange: bytes=1-2\r\nIf-None-Match: "x", W/"y"\r\n\r\n' % AS,
    b"GET %b HTTP/1.1\r\n%b\r\n" % (LISTING, AS),
    b"DELETE /v1/artifacts/fuzz/a HTTP/1.1\r\n%b\r\n" % AS,
    b"POST %b/mpu/create/f HTTP/1.1\r\n%bContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    % (MLFLOW, AS, len(JSON), JSON),
    b"GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
]
PIECES = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"%", b"%00", b"%2e%2e/", b"../", b"//"),
    *(b"\r\n\r\n", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"chunked", b"identity", b"gzip", b"-1", b"+5"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"Upgrade: h2c\r\n"),
    *(b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n", b"Origin: null\r\n", b"\xff", b"\xc0\xae"),
    *(b"99999999999999999999", b"ffffffffffffffff", b"0x5", b"http://h/", b"*", b"CONNECT ", b"?", b"#"),
    *(b"X: " + b"x" * 70_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"),
]
SUCCESSES = {200, 201, 204}
PLACES = re.compile(rb"\b|$")
PATIENCE, LONG_PATIENCE = 0.2, 2.0
FAREWELL = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
"""Is refused for want of a credential, and ends the connection."""
ANSWER = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A few valid requests after each other, with pieces cut out, put in and copied."""
    data = b"".join(draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=2)))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.sampled_from([place.start() for place in PLACES.finditer(data)]))
        stop = min(len(data), start + draw(st.integers(0, 20)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8), st.just(data[start:stop] * 2)))
        data = data[:start] + piece + data[stop:]
    return data


def answered(url: str, data: bytes, patience: float) -> tuple[bytes, bool]:
    """All that comes back, and whether it is all that the server has to say.

    The client waits for so many seconds for more of it before it tells that it has nothing more to say.
    """
    received = bytearray()
    with connection(url) as connected, suppress(ConnectionError):
        connected.sendall(data)
        if patience:
            connected.settimeout(patience)
            with suppress(TimeoutError):
                while piece := connected.recv(65536):
                    received += piece
                return bytes(received), True
            connected.settimeout(TIMEOUT)
        connected.shutdown(socket.SHUT_WR)
        while piece := connected.recv(65536):
            received += piece
    return bytes(received), False


def statuses(received: bytes) -> Iterator[int]:
    """Of the answers one after another, each of which says where it ends."""
    while received:
        match = ANSWER.match(received)
        assert match, received[:200]
        status = int(match[1])
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if status >= 200:
            yield status
        if status >= 200 and status not in {204, 304}:
            assert length, head
            # After HEAD nothing comes, and what a connection was cut off in is not there.
            if not ANSWER.match(received):
                received = received[int(length[1]) :]


def files(server: Server) -> dict[str, int]:
    """What clients have put there, with the time, which is another whenever it is written anew."""
    found = {}
    for directory, _, names in os.walk(server.root):
        place = Path(directory).relative_to(server.root)
        for path in (place / name for name in names if ".artifact-proxy" not in place.parts):
            with suppress(OSError):  # it goes this moment
                found[str(path)] = (server.root / path).stat().st_mtime_ns
    return found


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {path for path, _ in before.items() ^ after.items()}


def is_changed(server: Server, before: dict[str, int]) -> bool:
    return files(server) != before


def test_a_damaged_request_has_an_answer_and_harms_nothing(
    known: Known, client: httpx.Client, long: bool
) -> None:
    server, token = known.server, known.token
    content = b"what was here before"
    stored = client.put(f"{server.native}/kept/artifact", content=content, headers=bearer(token))
    assert stored.status_code == 201

    recent: deque[bytes] = deque(maxlen=5)
    unheard: deque[bytes] = deque(maxlen=5)
    """Of those who did not wait, or had no answer at all: what they changed may be seen only later."""
    staged: dict[str, bytes] = {}
    """What was sent when an upload was seen for the first time."""

    def raw(data: bytes) -> bytes:
        return data.replace(MARK, token.encode())

    def denied(before: dict[str, int], after: dict[str, int]) -> set[str]:
        """What changed, but by nobody who went away: sent again, theirs does not, or is refused."""
        found = changed(before, after)
        for data in reversed(unheard):
            if not found:
                break
            start = files(server)
            received, _ = answered(server.url, raw(data), LONG_PATIENCE)
            got = set(statuses(received))
            if not got:
                comes_true(partial(is_changed, server, start), LONG_PATIENCE)
            if not got or SUCCESSES & got:
                gone = before.keys() - after.keys() if b"DELETE" in data else set()
                found -= changed(start, files(server)) | gone
        return found

    def judge(data: bytes, before: dict[str, int], log: TextIO) -> None:
        received, heard = answered(server.url, raw(data), PATIENCE if data.endswith(FAREWELL) else 0)
        got = list(statuses(received))
        if not heard or not got:
            unheard.append(data)
        for name in server.staged():
            staged.setdefault(name, data)
        assert all(200 <= status <= 599 and status not in {500, 502, 504} for status in got), got
        after = files(server)
        if got and not SUCCESSES & set(got):
            assert denied(before, after) == set(), f"{got}: nobody is told of a change"
        if b"kept" not in data and b"DELETE" not in data:
            assert (server.root / "kept" / "artifact").read_bytes() == content
        assert {path.name for path in server.root.parent.iterdir()} == {"root", "server.log", "access.toml"}
        judge_log(log)

    def judge_log(log: TextIO) -> None:
        """What is new in it."""
        said = log.read()
        assert "Traceback" not in said
        assert token not in said

    @settings(max_examples=20_000 if long else 120)
    @given(damaged(), st.one_of(st.none(), st.none(), st.integers(0, 20)))
    def send(requests: bytes, left_out: int | None) -> None:
        """One who leaves out the last bytes goes away then; others wait for all answers."""
        data = requests + FAREWELL if left_out is None else requests[: len(requests) - left_out]
        before = files(server)
        try:
            judge(data, before, log)
        except AssertionError as failure:
            # Perhaps it takes what others have left behind to see it again.
            failure.add_note(f"{data!r}\nwas sent after\n{list(recent)!r}\nwhere there was\n{sorted(before)}")
            raise
        recent.append(data)

    with server.log_file.open() as log:
        send()
        assert client.get(f"{server.url}/health").text == "OK"
        left = not comes_true(lambda: not server.staged(), SECONDS)
        assert not left, {name: staged.get(name) for name in server.staged()}
        judge_log(log)


def test_the_refusal_of_a_request_is_not_the_answer_to_the_one_before(known: Known) -> None:
    stored = REQUESTS[0].replace(MARK, known.token.encode())
    with connection(known.server.url) as connected:
        connected.sendall(stored + b"GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n")
        assert read_answer(connected).status in {200, 201}
