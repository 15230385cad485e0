"""47 to 49: requests for one name at once."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx

from tests.hostile.asking import NATIVE, Asker
from tests.support.presigning import Multipart, Place
from tests.support.raw import read_answer
from tests.support.server import Server
from tests.support.waiting import wait_until

SIZE = 700_000


def halves(asker: Asker, target: str, number: int) -> tuple[socket.socket, bytes]:
    """An upload of which half is sent, and the other half."""
    connected = asker.connect()
    body = bytes([number]) * SIZE
    connected.sendall(asker.head("PUT", target, f"Content-Length: {SIZE}") + body[: SIZE // 2])
    return connected, body[SIZE // 2 :]


def test_47_of_many_uploads_to_one_name_one_is_there_whole(asker: Asker, folder: str) -> None:
    target = NATIVE + folder
    for _ in range(3):
        uploads = [halves(asker, target, number) for number in range(20)]
        for connected, rest in uploads:
            connected.sendall(rest)
        for connected, _rest in uploads:
            with connected:
                assert read_answer(connected).status in {200, 201}
        got = asker.ask("GET", target).body
        assert (len(got), len(set(got))) == (SIZE, 1)
        assert got[0] in range(20)
    assert asker.server.staged() == []


def test_48_a_download_during_uploads_is_one_version_whole(asker: Asker, folder: str) -> None:
    target = NATIVE + folder
    asker.ask("PUT", target, body=bytes(SIZE))
    for number in range(1, 15):
        connected, rest = halves(asker, target, number)
        reading = [asker.connect() for _ in range(4)]
        with connected:
            reading[0].sendall(asker.head("GET", target))
            connected.sendall(rest)
            for each in reading[1:]:
                each.sendall(asker.head("GET", target))
            assert read_answer(connected).status == 200
        for each in reading:
            with each:
                answer = read_answer(each)
                assert (answer.status, len(answer.body), len(set(answer.body))) == (200, SIZE, 1)
                assert answer.body[0] in {number - 1, number}
        assert asker.ask("GET", target).body == bytes([number]) * SIZE


def test_48_an_upload_against_the_deletion_of_its_directory_is_no_failure(asker: Asker, folder: str) -> None:
    statuses = set()
    for number in range(60):
        writing, deleting, listing = (asker.connect() for _ in range(3))
        target = f"{NATIVE}{folder}/d/e/{number}"
        writing.sendall(asker.head("PUT", target, "Content-Length: 1"))
        deleting.sendall(asker.head("DELETE", f"{NATIVE}{folder}/d"))
        writing.sendall(b"x")
        listing.sendall(asker.head("GET", f"{NATIVE}{folder}/?recursive=true"))
        for connected in (writing, deleting, listing):
            with connected:
                statuses.add(read_answer(connected).status)
        assert asker.ask("GET", target).body in {b"x"} or asker.ask("GET", target).status == 404
    assert statuses <= {200, 201, 204}
    assert "Traceback" not in asker.server.log()
    assert asker.server.staged() == []


def test_49_of_completion_and_abort_one_wins(presigning: Server, place: Place, client: httpx.Client) -> None:
    with Asker(presigning) as asker, ThreadPoolExecutor(2) as pool:
        for number in range(8):
            upload = Multipart(presigning, client, "forty-nine", f"{number}", 1)
            parts = upload.send(b"whole")
            race: list[Callable[[], httpx.Response]] = [partial(upload.complete, parts), upload.abort]
            running = [pool.submit(each) for each in (race if number % 2 else race[::-1])]
            answers = [each.result().status_code for each in running]
            completed, aborted = answers if number % 2 else answers[::-1]
            got = asker.ask("GET", f"{NATIVE}forty-nine/{number}")
            assert (completed, aborted) in {(200, 404), (404, 200)}, number
            assert (got.status, got.body == b"whole") == ((200, True) if completed == 200 else (404, False))
    wait_until(lambda: place.open_uploads("root/forty-nine") == [], "no upload is left open")
    assert not place.records()
