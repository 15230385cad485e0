"""What clients send around a request: upgrades, trailers, heads without end, and no HTTP at all."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server
from tests.support.waiting import wait_until

UPGRADE = [
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAA",
]
BODY = bytes(range(256)) * 2000
CHUNKED = (
    b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (BODY[:70_000], BODY[70_000:])) + b"0\r\n\r\n"
)


class TestUpgrade:
    """Asked for by stock clients, and declined: the request goes on in HTTP/1.1 with its body."""

    @pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "body later"])
    @pytest.mark.parametrize(
        ("framing", "body"), [(f"Content-Length: {len(BODY)}", BODY), ("Transfer-Encoding: chunked", CHUNKED)]
    )
    def test_an_upload_is_stored_with_its_body(
        self, server: Server, client: httpx.Client, folder: str, framing: str, body: bytes, pause: float
    ) -> None:
        client.put(f"{server.native}/{folder}/a", content=b"old")
        request = head("PUT", f"/v1/artifacts/{folder}/a", framing, *UPGRADE)
        with connection(server.url) as connected:
            if pause:
                connected.sendall(request[:50])
                time.sleep(pause)
                connected.sendall(request[50:])
                time.sleep(pause)
                connected.sendall(body)
            else:
                connected.sendall(request + body)
            answer = read_answer(connected)
            assert (answer.status, json.loads(answer.body)["size"]) == (200, len(BODY))
            connected.sendall(head("GET", f"/v1/artifacts/{folder}/a", *UPGRADE))
            assert read_answer(connected).body == BODY

    def test_a_request_behind_the_upload_is_answered_too(self, server: Server, folder: str) -> None:
        upload = head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 4", *UPGRADE) + b"data"
        with connection(server.url) as connected:
            connected.sendall(upload + head("GET", f"/v1/artifacts/{folder}/a", "Connection: close"))
            with connected.makefile("rb") as stream:
                received = stream.read()
        assert received.count(b"HTTP/1.1 ") == 2
        assert received.endswith(b"\r\n\r\ndata")

    def test_an_expectation_is_met(self, server: Server, folder: str) -> None:
        with connection(server.url) as connected:
            connected.sendall(
                head(
                    "PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 4", "Expect: 100-continue", *UPGRADE
                )
            )
            assert connected.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connected.sendall(b"data")
            assert read_answer(connected).status == 201

    def test_curl_uploads_with_it(
        self, server: Server, folder: str, need: Callable[[str], str], tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(BODY)
        for _ in range(2):
            url = f"{server.native}/{folder}/a"
            subprocess.run([need("curl"), "-sS", "--fail", "--http2", "-T", tmp_path / "a", url], check=True)
        assert (server.root / folder / "a").read_bytes() == BODY

    def test_connect_is_not_implemented(self, server: Server) -> None:
        answer = exchange(server.url, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n")
        assert (answer.status, answer.headers["connection"]) == (501, "close")


@pytest.mark.parametrize(
    "trailer", ["Content-Encoding: gzip", "If-Match: x", "Content-MD5: AAAA", "Expect: x"]
)
@pytest.mark.parametrize("pause", [0, 0.1], ids=["at once", "later"])
def test_a_trailer_is_never_a_header(server: Server, folder: str, trailer: str, pause: float) -> None:
    with connection(server.url) as connected:
        connected.sendall(
            head("PUT", f"/v1/artifacts/{folder}/a", "Transfer-Encoding: chunked") + b"1\r\nx\r\n"
        )
        time.sleep(pause)
        connected.sendall(b"0\r\n" + trailer.encode() + b"\r\n\r\n")
        assert read_answer(connected).status == 201
        connected.sendall(head("GET", f"/v1/artifacts/{folder}/a"))
        assert read_answer(connected).body == b"x"


def test_a_head_without_end_is_431(server: Server) -> None:
    with connection(server.url) as connected:
        connected.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ")
        answered = False
        for _ in range(1000):
            try:
                connected.sendall(b"x" * 10_000)
            except ConnectionError:
                answered = True
                break
        assert answered or read_answer(connected).status == 431
    with connection(server.url) as connected:
        connected.sendall(head("GET", "/health", "X-Long: " + "x" * 30_000))
        assert read_answer(connected).status == 200


@pytest.mark.parametrize("piece", [b"x" * 10_000, b"X-A: b\r\n" * 1000], ids=["one", "many"])
def test_trailers_without_end_are_431_and_the_upload_comes_to_nothing(
    server: Server, folder: str, piece: bytes
) -> None:
    with connection(server.url) as connected:
        upload = head("PUT", f"/v1/artifacts/{folder}/a", "Transfer-Encoding: chunked")
        connected.sendall(upload + b"1\r\nx\r\n0\r\nX-Long: ")
        for _ in range(30):  # of which 14 are too many, and what follows is dropped
            connected.sendall(piece)
        answer = read_answer(connected)
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert json.loads(answer.body)["error_code"] == "MALFORMED_REQUEST"
        assert connected.recv(1) == b""
    wait_until(lambda: not server.staged(), "nothing of the upload is left")
    assert not (server.root / folder).exists()


def test_trailers_without_end_behind_a_refused_body_close_the_connection_without_another_answer(
    server: Server,
) -> None:
    with connection(server.url) as connected:
        connected.sendall(head("PUT", "/v1/artifacts/../a", "Transfer-Encoding: chunked") + b"1\r\nx\r\n")
        assert read_answer(connected).status == 400
        connected.sendall(b"0\r\nX-Long: ")
        for _ in range(30):
            connected.sendall(b"x" * 10_000)
        assert connected.recv(1) == b""


def test_trailers_that_end_in_time_are_no_matter(server: Server, folder: str) -> None:
    upload = head("PUT", f"/v1/artifacts/{folder}/a", "Transfer-Encoding: chunked")
    with connection(server.url) as connected:
        for _ in range(3):
            connected.sendall(upload + b"1\r\nx\r\n0\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n")
            assert read_answer(connected).status in {200, 201}


def test_a_large_body_before_the_next_request_is_no_large_head(server: Server, folder: str) -> None:
    upload = head("PUT", f"/v1/artifacts/{folder}/a", f"Content-Length: {len(BODY)}") + BODY
    with connection(server.url) as connected:
        for _ in range(3):
            connected.sendall(upload + b"GET /health HTTP/1.1\r\nHo")
            assert read_answer(connected).status in {200, 201}
            connected.sendall(b"st: x\r\n\r\n")
            assert read_answer(connected).body == b"OK"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"this is not HTTP\r\n\r\n",
        head("PUT", "/v1/artifacts/a#b", "Content-Length: 1") + b"x",
        head("PUT", "/v1/artifacts/a", "Content-Length: 1", "Content-Length: 2") + b"x",
        head("PUT", "/v1/artifacts/a", "Content-Length: 1", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head("PUT", "/v1/artifacts/a", "Content-Length: -1") + b"x",
    ],
)
def test_what_is_no_http_is_400_in_json_and_the_connection_closed(
    server: Server, request_bytes: bytes
) -> None:
    with connection(server.url) as connected:
        connected.sendall(request_bytes)
        answer = read_answer(connected)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert json.loads(answer.body)["error_code"] == "MALFORMED_REQUEST"
        assert connected.recv(1) == b""
    assert not (server.root / "a").exists()


class TestRequestIds:
    """Of requests that are refused while they are read: their clients look for what they have sent."""

    REFUSED = (
        (400, ["Transfer-Encoding: gzip"]),
        (400, ["Host: elsewhere"]),
        (400, ["Content-Length: 1", "Content-Length: 2"]),
        (431, ["X-Long: " + "x" * 200_000]),
    )

    @pytest.mark.parametrize(("status", "headers"), REFUSED)
    def test_the_given_one_is_kept(self, server: Server, status: int, headers: list[str]) -> None:
        answer = exchange(server.url, head("PUT", "/v1/artifacts/a", "X-Request-Id: mine", *headers))
        assert answer.status == status
        assert answer.headers["x-request-id"] == "mine"
        assert json.loads(answer.body)["request_id"] == "mine"
        line = rf"\[mine\] Refused what came from 127\.0\.0\.1 \({status} "
        wait_until(lambda: re.search(line, server.log()), "the log has it, too")

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, "\x1b[31m", '"}', "\xe4"])
    @pytest.mark.parametrize(("status", "headers"), REFUSED)
    def test_a_hostile_one_is_replaced(
        self, server: Server, status: int, headers: list[str], given: str
    ) -> None:
        answer = exchange(server.url, head("PUT", "/v1/artifacts/a", f"X-Request-Id: {given}", *headers))
        assert answer.status in {status, 400}  # the parser itself refuses some bytes
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert json.loads(answer.body)["request_id"] == answer.headers["x-request-id"]

    def test_no_request_gets_that_of_another_one(self, server: Server) -> None:
        with connection(server.url) as connected:
            connected.sendall(head("GET", "/health", "X-Request-Id: mine"))
            assert read_answer(connected).headers["x-request-id"] == "mine"
            connected.sendall(b"this is not HTTP\r\n\r\n")
            answer = read_answer(connected)
        assert answer.status == 400
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
