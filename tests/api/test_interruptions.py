"""Requests that are refused before their body, and clients that break off in the middle."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server
from tests.support.waiting import wait_until


class TestExpectContinue:
    def test_a_good_request_is_asked_for_its_body(self, server: Server, folder: str) -> None:
        with connection(server.url) as connected:
            connected.sendall(
                head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 4", "Expect: 100-continue")
            )
            assert connected.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connected.sendall(b"data")
            assert read_answer(connected).status == 201

    @pytest.mark.parametrize(
        ("path", "headers", "status"),
        [
            ("../x", [], 400),
            ("{}/file/below", [], 409),
            ("{}", [], 409),
            ("{}/file", ["If-None-Match: *"], 412),
            ("{}/file", ['If-Match: "other"'], 412),
            ("{}/new", ["Content-Encoding: gzip"], 415),
            ("{}/new", ["Repr-Digest: sha-256=:AAAA:"], 400),
            ("{}/huge", [], 507),
        ],
    )
    def test_a_bad_request_is_refused_before_its_body(
        self, server: Server, client: httpx.Client, folder: str, path: str, headers: list[str], status: int
    ) -> None:
        client.put(f"{server.native}/{folder}/file", content=b"data")
        length = 4 * 10**12 if "huge" in path else 10**6
        request = head(
            "PUT",
            f"/v1/artifacts/{path.format(folder)}",
            f"Content-Length: {length}",
            "Expect: 100-continue",
            *headers,
        )
        answer = exchange(server.url, request)
        assert answer.status == status
        assert client.get(f"{server.native}/{folder}/file").content == b"data"

    def test_a_refusal_closes_the_connection_because_the_body_may_come_or_not(
        self, server: Server, folder: str
    ) -> None:
        with connection(server.url) as connected:
            connected.sendall(head("PUT", "/v1/artifacts/../x", "Content-Length: 4", "Expect: 100-continue"))
            answer = read_answer(connected)
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert connected.recv(1) == b""

    def test_another_expectation_is_417(self, server: Server, folder: str) -> None:
        request = head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 1", "Expect: miracles")
        assert exchange(server.url, request).status == 417

    def test_a_client_that_sends_its_large_body_all_the_same_reads_the_refusal(
        self, server: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{server.native}/{folder}/file", content=b"data")
        answer = client.put(f"{server.native}/{folder}/file/below", content=bytes(20_000_000))
        assert answer.status_code == 409


class TestClientGone:
    def test_in_a_broken_chunk_leaves_nothing(self, server: Server, folder: str) -> None:
        request = (
            head("PUT", f"/v1/artifacts/{folder}/a", "Transfer-Encoding: chunked") + b"5\r\nhello\r\nzz\r\n"
        )
        assert exchange(server.url, request).status == 400
        wait_until(lambda: not server.staged(), "nothing of the upload is left")
        assert not (server.root / folder).exists()

    def test_during_a_download_stops_the_reading(
        self, server: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{server.native}/{folder}/a", content=bytes(50_000_000))
        for _ in range(20):
            with connection(server.url) as connected:
                connected.sendall(head("GET", f"/v1/artifacts/{folder}/a"))
                connected.recv(1000)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        artifact = str(server.root / folder / "a")
        wait_until(lambda: artifact not in _open_files(server.process.pid), "the artifact is closed")
        assert "Traceback" not in server.log()


def _open_files(pid: int) -> list[str]:
    import psutil

    return [file.path for file in psutil.Process(pid).open_files()]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Transfer-Encoding: gzip, chunked"], 400),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 400),
        (["Content-Encoding: identity", "Content-Encoding: gzip", "Content-Length: 0"], 415),
    ],
)
def test_a_body_that_is_coded_is_refused(
    server: Server, folder: str, headers: list[str], status: int
) -> None:
    request = head("PUT", f"/v1/artifacts/{folder}/a", *headers, "Connection: close")
    body = b"" if "Content-Length: 0" in headers else b"1\r\nx\r\n0\r\n\r\n"
    assert exchange(server.url, request + body).status == status
    assert not (server.root / folder).exists()
