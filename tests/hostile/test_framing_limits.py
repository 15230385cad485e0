"""22 to 26: what a request may announce, how it may end, how large its head may be, and how slow it is."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hostile.asking import INVALID, MALFORMED, MLFLOW, NATIVE, Asker, code
from tests.hostile.conftest import LARGEST, Guarded
from tests.support.bystander import unchanged
from tests.support.raw import TIMEOUT, read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

TOO_LARGE = (413, "INVALID_PARAMETER_VALUE")


def test_22_a_body_that_does_not_end_is_not_stored(asker: Asker, folder: str) -> None:
    length, chunked = "Content-Length: 900000", "Transfer-Encoding: chunked"
    cut = [
        (length, b""),
        (length, b"x"),
        (length, bytes(899_999)),
        (chunked, b""),
        (chunked, b"5"),
        (chunked, b"5\r\nhel"),
        (chunked, b"5\r\nhello\r\n"),
        (chunked, b"c3500\r\n" + bytes(800_000) + b"\r\n0\r\n"),
        (chunked, b"5\r\nhello\r\n0\r\nX-Trailer: "),
    ]
    target = f"{NATIVE}{folder}/new/file"
    with unchanged(asker.server):
        for framing, body in cut:
            request = asker.head("PUT", target, framing) + body
            for how in ("closed", "half closed", "reset"):
                with asker.open() as connected:
                    connected.sendall(request)
                    wait_until(asker.server.staged, "the upload has begun")
                    if how == "half closed":
                        connected.shutdown(socket.SHUT_WR)
                        while connected.recv(65536):
                            pass
                    elif how == "reset":
                        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                wait_until(lambda: not asker.server.staged(), "nothing of the upload is left")
            for end in range(0, len(request) - len(body), 40):
                with asker.open() as connected:
                    connected.sendall(request[:end])
                    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert asker.ask("GET", target).status == 404
    assert "Traceback" not in asker.server.log()


EXPECTED = "Expect: 100-continue"


def test_23_all_is_judged_before_the_body_is_asked_for(
    asker: Asker, stranger: Asker, guarded: Guarded, folder: str
) -> None:
    asker.ask("PUT", f"{NATIVE}{folder}/file", body=b"old")
    with Asker(guarded.server, guarded.reader) as reader, unchanged(asker.server):
        refused = [
            (asker, "../x", [], INVALID),
            (asker, "%2e%2e/x", [], INVALID),
            (asker, f"{folder}/file/below", [], (409, "RESOURCE_ALREADY_EXISTS")),
            (asker, f"{folder}/file", ["If-None-Match: *"], (412, "INVALID_STATE")),
            (asker, f"{folder}/new", ["Content-Encoding: gzip"], (415, "INVALID_PARAMETER_VALUE")),
            (asker, f"{folder}/new", ["Expect: miracles"], (417, "INVALID_PARAMETER_VALUE")),
            (stranger, f"{folder}/new", [], (401, "UNAUTHENTICATED")),
            (reader, f"{folder}/new", [], (403, "PERMISSION_DENIED")),
        ]
        for who, path, headers, told in refused:
            request = who.head("PUT", NATIVE + path, "Content-Length: 1000000", EXPECTED, *headers)
            # The answer comes first, without 100 before it.
            assert code(who.last(request)) == told, path
        for size in (LARGEST + 1, 10**18):
            request = asker.head("PUT", f"{NATIVE}{folder}/new", f"Content-Length: {size}", EXPECTED)
            assert code(asker.last(request)) == TOO_LARGE
        for unknown in ("miracles", "100-continue, miracles", "200-ok"):
            request = asker.head("PUT", f"{NATIVE}{folder}/new", "Content-Length: 1", f"Expect: {unknown}")
            assert code(asker.last(request)) == (417, "INVALID_PARAMETER_VALUE")
    with asker.open() as connected:
        connected.sendall(asker.head("PUT", f"{NATIVE}{folder}/good", "Content-Length: 4", EXPECTED))
        assert connected.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connected.sendall(b"data")
        assert read_answer(connected).status == 201


def test_24_a_body_over_the_limit_is_refused_before_a_byte_or_in_its_middle(
    asker: Asker, folder: str
) -> None:
    target = f"{NATIVE}{folder}/big"
    with unchanged(asker.server):
        request = asker.head("PUT", target, f"Content-Length: {LARGEST + 1}")
        with asker.open() as connected:
            connected.sendall(request)
            assert code(read_answer(connected)) == TOO_LARGE
        with asker.open() as connected:
            connected.sendall(asker.head("PUT", target, "Transfer-Encoding: chunked"))
            for _ in range(LARGEST // 500_000 + 1):
                connected.sendall(b"7a120\r\n" + bytes(500_000) + b"\r\n")
            # Its end has not come, and need not.
            assert code(read_answer(connected)) == TOO_LARGE
    assert asker.ask("PUT", target, body=bytes(LARGEST)).status == 201
    assert asker.ask("DELETE", target).status == 204


@pytest.mark.parametrize("expectation", [[], [EXPECTED]], ids=["without Expect", "with Expect"])
def test_24_a_client_that_sends_on_can_read_the_refusal(
    asker: Asker, stranger: Asker, folder: str, expectation: list[str]
) -> None:
    """The connection is closed in a way that keeps the answer from being lost, or stays."""
    refused = [
        (asker, NATIVE + "../x", f"Content-Length: {30_000_000}", INVALID),
        (asker, NATIVE + folder, f"Content-Length: {30_000_000}", TOO_LARGE),
        (asker, NATIVE + folder, "Transfer-Encoding: chunked", TOO_LARGE),
        (stranger, NATIVE + folder, "Content-Length: 30000000", (401, "UNAUTHENTICATED")),
        (asker, NATIVE + folder, "Content-Length: 30000000\r\nTransfer-Encoding: chunked", MALFORMED),
    ]
    piece = b"7a120\r\n" + bytes(500_000) + b"\r\n"
    with unchanged(asker.server):
        for who, target, framing, told in refused:
            with who.open() as connected:
                connected.sendall(who.head("PUT", target, framing, *expectation))
                for _ in range(20):
                    connected.sendall(piece)
                if expectation and framing.startswith("Transfer") and told == TOO_LARGE:
                    assert connected.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
                assert code(read_answer(connected)) == told, framing


def test_25_targets_and_heads_that_are_too_large(asker: Asker) -> None:
    with unchanged(asker.server):
        for target in (f"{NATIVE}{'a/' * 5000}", f"{NATIVE}?page_token={'a' * 9000}", "/" + "x" * 100_000):
            for method in ("GET", "PUT"):
                answer = asker.last(asker.head(method, target, "Content-Length: 0"))
                assert code(answer) == (414, "MALFORMED_REQUEST")
        for headers in (
            ["X-A: " + "x" * 140_000],
            ["X" * 140_000 + ": a"],
            [f"X-{number}: {'x' * 100}" for number in range(1500)],
            ["Cookie: " + "x" * 1_000_000],
            ["a: b"] * 30_000,
            ["a: b"] * 4_000,  # each takes many times its bytes in memory
        ):
            answer = asker.last(asker.head("PUT", f"{NATIVE}a", "Content-Length: 0", *headers))
            assert code(answer) == (431, "MALFORMED_REQUEST"), headers[0][:20]


def test_25_hosts(asker: Asker, server: Server) -> None:
    credential = asker.credential[0].encode()
    put = b"PUT /v1/artifacts/a HTTP/1.1\r\nContent-Length: 0\r\n" + credential + b"\r\n"
    with unchanged(asker.server, server):
        for hosts in (
            b"",
            b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n",
            b"Host: 127.0.0.1\r\nHost: evil.example\r\n",
        ):
            assert code(asker.last(put + hosts + b"\r\n")) == MALFORMED, hosts
        wrong = [
            "evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "evil.example:80",
            "",
            "[",
        ]
        for host in (*wrong, "127.0.0.1:x", "127.0.0.1/x", "127.0.0.1, evil.example", "127.0.0.1 evil"):
            for guarding in (asker, Asker(server)):
                request = guarding.head(
                    "PUT", f"{NATIVE}a", "Content-Length: 0", "Connection: close", host=host
                )
                assert code(guarding.last(request)) == (421, "INVALID_PARAMETER_VALUE"), host
        absolute = asker.head(
            "PUT", f"http://evil.example{NATIVE}a", "Content-Length: 0", "Connection: close"
        )
        assert code(asker.last(absolute)) == (421, "INVALID_PARAMETER_VALUE")


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = ("--min-transfer-rate", "1000", "--transfer-patience", "1")
    with running(tmp_path_factory.mktemp("hasty") / "root", *flags) as started:
        yield started


def test_26_slow_bodies_are_given_up(hasty: Server) -> None:
    """All at once: nothing at all, a byte now and then, and one that begins well."""
    asker = Asker(hasty)
    (hasty.root / "big").write_bytes(bytes(30_000_000))
    with unchanged(hasty):
        slow = [asker.connect() for _ in range(3)]
        reader = asker.connect()
        reader.sendall(asker.head("GET", f"{NATIVE}big"))
        slow[0].sendall(asker.head("PUT", f"{NATIVE}a", "Content-Length: 100000"))
        slow[1].sendall(asker.head("PUT", f"{NATIVE}b", "Transfer-Encoding: chunked"))
        slow[2].sendall(asker.head("PUT", f"{NATIVE}c", "Content-Length: 100000") + bytes(50_000))
        drip(slow[1], b"1\r\nx\r\n")
        for connected in slow:
            require_given_up(connected)
        with reader:
            # It takes nothing, and yet does not keep the connection.
            wait_until(lambda: not connections(hasty), "all connections are closed")
            received = 0
            while piece := reader.recv(1 << 20):
                received += len(piece)
            assert received < 30_000_000


def test_26_slow_json_bodies_are_given_up(hasty: Server) -> None:
    """They are read before the server says whether its storage has what they ask for."""
    body = b'{"path": "x", "num_parts": 1}'
    length, longer = f"Content-Length: {len(body)}", f"Content-Length: {len(body) + 50_000}"

    def head(step: str, framing: str) -> bytes:
        return asker.head("POST", f"{MLFLOW}/mpu/{step}/d", "Content-Type: application/json", framing)

    with Asker(hasty) as asker, unchanged(hasty):
        assert code(asker.send(head("create", length) + body)) == (501, "NOT_IMPLEMENTED")
        begun = [head(step, length) + body[:-1] for step in ("create", "complete", "abort")]
        begun += [head("create", longer) + body.ljust(30_000), head("create", "Transfer-Encoding: chunked")]
        slow = [asker.connect() for _ in begun]
        for connected, request in zip(slow, begun, strict=True):
            connected.sendall(request)
        drip(slow[-1], b"1\r\n \r\n")
        for connected in slow:
            require_given_up(connected)


def drip(connected: socket.socket, piece: bytes) -> None:
    """Sends the piece now and then, until an answer comes."""
    began = time.monotonic()
    connected.settimeout(0.1)
    came = b""
    while not came:
        connected.sendall(piece)
        with suppress(TimeoutError):
            came = connected.recv(1, socket.MSG_PEEK)
            assert came == b"H"
        assert time.monotonic() - began < 15
    connected.settimeout(TIMEOUT)


def require_given_up(connected: socket.socket) -> None:
    with connected:
        answer = read_answer(connected)
        assert code(answer) == (408, "REQUEST_LIMIT_EXCEEDED")
        assert answer.headers["connection"] == "close"
        assert connected.recv(1) == b""


def connections(server: Server) -> int:
    """How many the server holds; those that it has left to the system have no inode."""
    port = f":{int(server.url.rpartition(':')[2]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] != "0A" and line[9] != "0" for line in lines)


def test_26_slow_heads_are_the_work_of_the_reverse_proxy() -> None:
    for configuration in ("nginx.conf", "nginx-migration.conf"):
        text = Path("config", configuration).read_text()
        found = re.search(r"^\s*client_header_timeout (\d+)s?;", text, re.MULTILINE)
        assert found, configuration
        assert 0 < int(found[1]) <= 60
