"""What the server writes down of itself and of each request, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.threads import StorageThreads
from app.api.visit import Visit
from app.api.visits import PublicPaths, Visits
from app.logs import REQUEST_ID
from tests.support.access import bearer, token_stanza
from tests.support.access_log import complete_log
from tests.support.guarded import guarded
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

LARGE = 30_000_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")


@pytest.fixture(scope="module")
def token() -> tuple[str, str]:
    return token_stanza("ci", "all:", deny=["write:hidden"])


@pytest.fixture(scope="module")
def known(token: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, whose lines are JSON."""
    flags = ["--log-format", "json", "--forwarded-allow-ips", "127.0.0.1", "--workers", "2"]
    with guarded(tmp_path_factory.mktemp("logs"), token[1], flags=flags) as server:
        with (server.root / "large").open("wb") as file:
            file.truncate(LARGE)
        yield server


def lines(server: Server) -> list[dict[str, Any]]:
    """All but what tells where it listens."""
    first, *others = [each for each in server.log().splitlines() if each]
    assert first.startswith("artifact-proxy ")
    return [json.loads(each) for each in others]


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """The one line that a request leaves in the access log."""

    def found() -> list[dict[str, Any]]:
        of_request = [each for each in lines(server) if each.get("request_id") == request_id]
        return [each for each in of_request if each["logger"] == "app.access"]

    wait_until(found, "the request is written down")
    [line] = found()
    return line


@contextmanager
def downloading(server: Server, token: str, request_id: str, path: str) -> Iterator[socket.socket]:
    """A download that has begun, and waits for the client to take more."""
    fields = (f"Authorization: Bearer {token}", f"X-Request-Id: {request_id}")
    with connection(server.url) as connected:
        connected.sendall(head("GET", f"/v1/artifacts/{path}", *fields))
        connected.recv(1000)
        yield connected


class TestAccessLines:
    def test_each_request_leaves_one_that_says_all(
        self, known: Server, client: httpx.Client, token: tuple[str, str]
    ) -> None:
        url = f"{known.native}/d/a?token_of_page=canary&recursive=1"
        headers = bearer(token[0]) | {"X-Request-Id": "upload", "X-Forwarded-For": "192.0.2.7"}
        got = client.put(url, content=bytes(1234), headers=headers)
        assert got.status_code == 201
        line = line_of(known, "upload")
        assert abs((datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds()) < 60
        assert _TIME.fullmatch(line.pop("time"))
        seconds = line.pop("seconds")
        assert 0 <= line.pop("first_byte_seconds") <= seconds < 60
        target = "/v1/artifacts/d/a?recursive=1"
        assert line == {
            "level": "INFO",
            "logger": "app.access",
            "message": f'192.0.2.7 "PUT {target} HTTP/1.1" 201, 1234 bytes in, {len(got.content)} out, '
            f"{seconds:.3f} s",
            "request_id": "upload",
            "method": "PUT",
            "target": target,
            "route": "/v1/artifacts/{path:path}",
            "status": 201,
            "outcome": "done",
            "aborted_by": None,
            "bytes_in": 1234,
            "bytes_out": len(got.content),
            "client": "192.0.2.7",
        }

    @pytest.mark.parametrize(
        ("method", "path", "status", "outcome"),
        [
            ("GET", "/v1/artifacts/none", 404, "failed"),
            ("GET", "/nowhere", 404, "failed"),
            ("PUT", "/v1/artifacts/hidden/x", 403, "denied"),
            ("GET", "/v1/artifacts/?token=x", 400, "failed"),
            ("GET", "/health", 200, "done"),
        ],
    )
    def test_one_says_what_came_of_it(
        self,
        *,
        known: Server,
        client: httpx.Client,
        token: tuple[str, str],
        method: str,
        path: str,
        status: int,
        outcome: str,
    ) -> None:
        got = client.request(method, known.url + path, headers=bearer(token[0]))
        line = line_of(known, got.headers["x-request-id"])
        assert (got.status_code, line["status"], line["outcome"]) == (status, status, outcome)
        assert line["aborted_by"] is None

    def test_so_it_does_of_somebody_unknown(self, known: Server, client: httpx.Client) -> None:
        got = client.get(f"{known.native}/none")
        line = line_of(known, got.headers["x-request-id"])
        assert (line["status"], line["outcome"], line["route"]) == (401, "unauthenticated", None)

    def test_a_download_whose_client_goes_away_was_aborted_by_it(
        self, known: Server, token: tuple[str, str]
    ) -> None:
        with downloading(known, token[0], "left", "large") as connected:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line = line_of(known, "left")
        assert (line["status"], line["outcome"], line["aborted_by"]) == (200, "aborted", "client")
        assert 0 < line["bytes_out"] < LARGE
        assert " 200 aborted by client, 0 bytes in, " in line["message"]

    def test_an_upload_whose_client_goes_away_was_too(self, known: Server, token: tuple[str, str]) -> None:
        fields = (f"Authorization: Bearer {token[0]}", "X-Request-Id: half", "Content-Length: 1000")
        with connection(known.url) as connected:
            connected.sendall(head("PUT", "/v1/artifacts/half", *fields) + bytes(100))
        line = line_of(known, "half")
        assert (line["outcome"], line["aborted_by"]) == ("aborted", "client")

    def test_a_download_that_the_storage_fails_was_aborted_by_the_server(
        self, known: Server, token: tuple[str, str]
    ) -> None:
        place = known.root / "shrinking"
        place.write_bytes(bytes(LARGE))
        with downloading(known, token[0], "cut", "shrinking") as connected:
            with place.open("r+b") as file:
                file.truncate(5_000_000)
            while connected.recv(1 << 20):
                pass
        line = line_of(known, "cut")
        assert (line["status"], line["outcome"], line["aborted_by"]) == (200, "aborted", "server")
        [reason] = [each for each in lines(known) if "cut short" in each["message"]]
        assert (reason["request_id"], reason["level"]) == ("cut", "ERROR")

    def test_it_is_written_at_the_end(self, known: Server, token: tuple[str, str]) -> None:
        fields = (f"Authorization: Bearer {token[0]}", "X-Request-Id: slow", "Content-Length: 2")
        with connection(known.url) as connected:
            connected.sendall(head("PUT", "/v1/artifacts/slow", *fields) + b"x")
            wait_until(lambda: known.staged(), "the upload has begun")
            assert not [each for each in lines(known) if each.get("request_id") == "slow"]
            connected.sendall(b"y")
            assert read_answer(connected).status == 201
        assert line_of(known, "slow")["bytes_in"] == 2

    def test_what_is_long_is_cut_so_that_a_line_stays_in_one_piece(
        self, known: Server, token: tuple[str, str]
    ) -> None:
        fields = (f"Authorization: Bearer {token[0]}", "X-Request-Id: long", f"X-Forwarded-For: {'9' * 3000}")
        exchange(known.url, head("GET", "/v1/artifacts/" + '%22"\\' * 700, *fields))
        assert line_of(known, "long")["target"].endswith("...")
        assert max(len(each) for each in known.log().splitlines() if '"app.access"' in each) < 4096


class TestServerLines:
    def test_all_are_json_also_those_of_uvicorn_and_of_the_supervisor(self, known: Server) -> None:
        started = "Application startup complete."
        wait_until(lambda: known.log().count(started) == 2, "both workers have started")
        said = lines(known)
        assert {each["logger"].partition(".")[0] for each in said} == {"app", "uvicorn"}
        for each in said:
            assert [*each][:4] == ["time", "level", "logger", "message"]
            assert "\x1b" not in each["message"]
            assert "color_message" not in each

    def test_what_comes_before_there_is_a_request_has_an_id_too(self, known: Server) -> None:
        answer = exchange(known.url, b"nonsense\r\n\r\n")
        request_id = json.loads(answer.body)["request_id"]
        wait_until(lambda: request_id in known.log(), "it is written down")
        [line] = [each for each in lines(known) if each.get("request_id") == request_id]
        assert (line["logger"], line["level"]) == ("uvicorn.error", "WARNING")
        assert line["message"].startswith("Refused what came from 127.0.0.1 (400 Bad Request): ")


def test_without_an_access_log_there_is_nothing_of_requests(
    client: httpx.Client, tmp_path: Path, folder: str
) -> None:
    with running(tmp_path / "root", "--no-access-log") as server:
        assert client.get(f"{server.native}/{folder}").status_code == 404
    assert folder not in server.log()
    assert "Finished server process" in server.log()


def test_on_a_console_a_request_is_one_line_with_its_id(
    server: Server, client: httpx.Client, folder: str
) -> None:
    client.put(f"{server.native}/{folder}", content=b"12345", headers={"X-Request-Id": "console-1"})
    [line] = [each for each in complete_log(server).splitlines() if "console-1" in each]
    told = rf'INFO \[console-1\] 127\.0\.0\.1 "PUT /v1/artifacts/{folder} HTTP/1\.1" 201, 5 bytes in, '
    assert re.fullmatch(rf"{_TIME.pattern} {told}\d+ out, \d+\.\d{{3}} s", line)


def test_a_storage_thread_knows_which_request_it_works_for() -> None:
    async def working_for(request_id: str) -> str | None:
        REQUEST_ID.set(request_id)
        return await threads.run(REQUEST_ID.get)

    async def several() -> list[str | None]:
        return await asyncio.gather(*(working_for(str(number)) for number in range(10)))

    threads = StorageThreads(2)
    assert asyncio.run(several()) == [str(number) for number in range(10)]
    threads.close()


def test_a_request_that_the_server_gives_up_was_aborted_by_it() -> None:
    seen: list[Visit] = []

    async def given_up() -> None:
        async def endless(scope: Scope, receive: Receive, send: Send) -> None:
            assert (await receive())["type"] == "http.disconnect"  # the server has cut the connection
            begun.set()
            await asyncio.Event().wait()

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            raise AssertionError(message)

        begun = asyncio.Event()
        visits = Visits(endless, PublicPaths(), [lambda _, visit: seen.append(visit)])
        scope = {"type": "http", "method": "GET", "raw_path": b"/", "headers": []}
        task = asyncio.create_task(visits(scope, receive, send))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    [visit] = seen
    assert (visit.outcome, visit.aborted_by, visit.gone) == ("aborted", "server", True)
