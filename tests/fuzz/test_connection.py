"""Damaged requests over a live connection: each has an HTTP answer or an end, and the server goes on."""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.conftest import Known
from tests.support.access import bearer
from tests.support.raw import connection, read_answer

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
SUCCESS = re.compile(rb"HTTP/1\.1 20[014] ")
PLACES = re.compile(rb"\b|$")
ANSWER = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) ")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A few valid requests after each other, with pieces cut out, put in and copied."""
    data = b"".join(draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=2)))
    for _ in range(draw(st.integers(1, 2))):
        start = draw(st.sampled_from([place.start() for place in PLACES.finditer(data)]))
        stop = min(len(data), start + draw(st.integers(0, 20)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8), st.just(data[start:stop] * 2)))
        data = data[:start] + piece + data[stop:]
    return data


def answered(url: str, data: bytes) -> bytes:
    """All that comes back, to one who has nothing more to say."""
    received = bytearray()
    with connection(url) as connected, suppress(ConnectionError):
        connected.sendall(data)
        connected.shutdown(socket.SHUT_WR)
        while piece := connected.recv(65536):
            received += piece
    return bytes(received)


def is_acknowledged(url: str, data: bytes) -> bool:
    """Whether one who waits for the answers is told of a change, before the server closes."""
    received = bytearray()
    told = None
    with connection(url) as connected, suppress(ConnectionError, TimeoutError):
        connected.settimeout(2)
        connected.sendall(data)
        while not (told := SUCCESS.search(received)) and (piece := connected.recv(65536)):
            received += piece
    return told is not None


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


def test_a_damaged_request_has_an_answer_and_harms_nothing(
    known: Known, client: httpx.Client, long: bool
) -> None:
    server = known.server
    kept = b"what was here before"
    stored = client.put(f"{server.native}/kept/artifact", content=kept, headers=bearer(known.token))
    assert stored.status_code == 201

    recent: deque[bytes] = deque(maxlen=5)

    @settings(max_examples=20_000 if long else 120)
    @given(damaged())
    def send(data: bytes) -> None:
        request = data.replace(MARK, known.token.encode())
        recent.append(request)
        before = server.tree()
        got = list(statuses(answered(server.url, request)))
        assert all(200 <= status <= 599 and status not in {500, 502, 504} for status in got), got
        after = server.tree()
        if after != before and not {200, 201, 204} & set(got):
            # The answer may miss whoever has closed already, and come late, but not miss who waits for it.
            assert any(is_acknowledged(server.url, each) for each in recent), "nobody is told of a change"
        if b"kept" not in data and b"DELETE" not in data:
            assert after["kept/artifact"] == kept

    send()
    assert client.get(f"{server.url}/health").text == "OK"
    assert server.staged() == []
    assert "Traceback" not in server.log()
    assert known.token not in server.log()
    _nothing_outside(server.root)


def _nothing_outside(root: Path) -> None:
    assert {path.name for path in root.parent.iterdir()} == {"root", "server.log", "access.toml"}


def test_the_refusal_of_a_request_is_not_the_answer_to_the_one_before(known: Known) -> None:
    stored = REQUESTS[0].replace(MARK, known.token.encode())
    with connection(known.server.url) as connected:
        connected.sendall(stored + b"GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n")
        assert read_answer(connected).status in {200, 201}
