"""18 to 21: where a request begins and ends."""

from __future__ import annotations

import json

import pytest

from tests.hostile.asking import INVALID, MALFORMED, NATIVE, Asker, code
from tests.hostile.conftest import LARGEST
from tests.support.bystander import unchanged
from tests.support.raw import read_answer
from tests.support.waiting import wait_until

CHUNK = b"3\r\nabc\r\n0\r\n\r\n"
TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")


def refuse_framing(asker: Asker, headers: list[str], body: bytes, version: str = "1.1") -> None:
    """400, the connection closed at once, and what came behind is no request."""
    smuggled = asker.head("DELETE", f"{NATIVE}victim")
    request = asker.head("PUT", f"{NATIVE}smuggled", *headers, version=version) + body + smuggled
    with unchanged(asker.server):
        received = asker.all_of(request)
        assert received.startswith(b"HTTP/1.1 400 "), (headers, received)
        assert received.count(b"HTTP/1.1 ") == 1, (headers, received)
        assert b"\r\nconnection: close\r\n" in received.lower(), (headers, received)
        said = json.loads(received.partition(b"\r\n\r\n")[2])
        assert said["error_code"] == "MALFORMED_REQUEST", (headers, received)


@pytest.fixture(autouse=True)
def _victim(asker: Asker) -> None:
    assert asker.ask("PUT", f"{NATIVE}victim", body=b"alive").status in {200, 201}


LENGTHS = [
    ["Content-Length: 13", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 13"],
    ["Content-Length: 3", "Content-Length: 4"],
    ["Content-Length: 3", "Content-Length: 3"],
    ["Content-Length: 3, 3"],
    *([f"Content-Length: {value}"] for value in ("+3", "-1", "0x3", "3.0", "3 3", "3;", "", "1" + "0" * 23)),
    ["Content-Length: 18446744073709551619"],
    ["Content-Length : 3"],
    ["Content-Length\t: 3"],
    [" Content-Length: 3"],
    ["Content-Length"],
]


def test_18_content_lengths_that_two_could_read_differently(asker: Asker) -> None:
    for headers in LENGTHS:
        refuse_framing(asker, headers, CHUNK)


CODINGS = [
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    *(
        [f"Transfer-Encoding: {value}"]
        for value in (
            *("gzip, chunked", "chunked, chunked", "chunked, identity", "identity", "gzip", "xchunked"),
            *("chunked;x=y", '"chunked"', "\x0bchunked", "chunked\x0b", "chunked\x00", "chun ked", ""),
        )
    ),
    ["Transfer-Encoding : chunked"],
    ["Transfer-Encoding:\r\n chunked"],
    ["Transfer\x00-Encoding: chunked"],
]


def test_19_transfer_encodings_other_than_one_chunked(asker: Asker) -> None:
    for headers in CODINGS:
        refuse_framing(asker, headers, CHUNK)


def test_19_a_transfer_encoding_in_http_1_0(asker: Asker) -> None:
    refuse_framing(asker, ["Transfer-Encoding: chunked"], CHUNK, version="1.0")


LINES = [
    ["Content-Length: 3", "X-A: b\r\n c"],
    ["Content-Length: 3", "X-A: b\r\n\tc"],
    ["Content-Length: 3", "X-A: b\nX-C: d"],
    ["Content-Length: 3\nX-C: d"],
    ["Content-Length: 3", "X-A: b\rX-C: d"],
    ["Content-Length: 3", "X-A: b\x00c"],
    ["Content-Length: 3", "X\x00A: b"],
    ["Content-Length: 3", "X A: b"],
    ["Content-Length: 3", ": b"],
]


def test_20_lines_that_do_not_end_as_they_should(asker: Asker) -> None:
    for headers in LINES:
        refuse_framing(asker, headers, b"abc")
    for request in (
        b"GET /health HTTP/1.1\nHost: 127.0.0.1\n\n",
        b"GET /health HTTP/1.1\rHost: 127.0.0.1\r\r",
        b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\n",
    ):
        assert code(asker.last(request)) == MALFORMED, request


CHUNKS = [
    *(
        b"zz\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"\r\nabc\r\n",
        b" 3\r\nabc\r\n",
    ),
    *(b"10000000000000000\r\nabc", b"f" * 40 + b"\r\nabc", b"3 3\r\nabc\r\n"),
    *(
        b"3\r\nabcX",
        b"3\r\nabcd\r\n",
        b"3\nabc\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3\rabc\r\n",
        b"3\r\nabc\r0\r\n\r\n",
    ),
    *(b"3;a\nb\r\nabc\r\n", b"3;a\rb\r\nabc\r\n", b"3;a\x00b\r\nabc\r\n", b"3;;=\r\nabc\r\n"),
    *(b"3;=x\r\nabc\r\n", b'3;a="b\r\nabc\r\n'),
]


def test_20_chunks_that_are_not_as_they_should_be(asker: Asker) -> None:
    for body in CHUNKS:
        refuse_framing(asker, ["Transfer-Encoding: chunked"], body)


def test_20_a_chunk_that_is_huge_or_never_begins(asker: Asker) -> None:
    """A size that a number still holds is no fault, but ends the upload when it has passed the limit."""
    framing = asker.head("PUT", f"{NATIVE}huge", "Transfer-Encoding: chunked")
    with unchanged(asker.server):
        with asker.open() as connected:
            connected.sendall(framing + b"7fffffffffffffff\r\n" + bytes(LARGEST + 1_000_000))
            assert code(read_answer(connected)) == TOO_LARGE
        with asker.open() as connected:
            connected.sendall(framing + b"7fffffffffffffff\r\nabc")
            wait_until(asker.server.staged, "the upload has begun")


def test_20_what_is_no_request_is_never_answered_in_the_middle_of_another_answer(asker: Asker) -> None:
    (asker.server.root / "large").write_bytes(bytes(30_000_000))
    download, further = asker.head("GET", f"{NATIVE}large"), asker.head("GET", f"{NATIVE}victim")
    refused = asker.head("PUT", f"{NATIVE}../x", "Transfer-Encoding: chunked")
    for garbage in (b"garbage\r\n\r\n", further + b"garbage\r\n\r\n"):
        with asker.open() as connected:
            connected.sendall(download)
            received = connected.recv(65536)
            connected.sendall(garbage)
            while piece := connected.recv(1 << 20):
                received += piece
            assert received.startswith(b"HTTP/1.1 200 ")
            body = received.partition(b"\r\n\r\n")[2]
            assert not any(body[:30_000_000])
    with asker.open() as connected:
        connected.sendall(refused)
        assert code(read_answer(connected)) == INVALID
        connected.sendall(b"no chunk\r\n")
        assert connected.recv(65536) == b""
    (asker.server.root / "large").unlink()


def test_21_trailers_are_never_headers(asker: Asker, folder: str) -> None:
    trailers = ["Authorization: Bearer x", "Host: evil.example", "If-None-Match: *", "Content-Encoding: gzip"]
    trailers += ["X-Forwarded-User: root", "Content-MD5: AAAA", "Expect: x", "Range: bytes=0-0"]
    target = f"{NATIVE}{folder}/a"
    for trailer in trailers:
        for with_trailer in ("Trailer: X", "X-A: b"):
            request = asker.head("PUT", target, "Transfer-Encoding: chunked", with_trailer)
            answer = asker.send(request + b"3\r\nabc\r\n0\r\n" + trailer.encode() + b"\r\n\r\n")
            assert answer.status in {200, 201}, trailer
            assert asker.ask("GET", target).body == b"abc"
    for trailer in ("Content-Length: 99", "Transfer-Encoding: gzip", " folded", "X-A: b\rc", "no colon"):
        body = b"3\r\nxyz\r\n0\r\n" + trailer.encode() + b"\r\n\r\n"
        refuse_framing(asker, ["Transfer-Encoding: chunked"], body)
