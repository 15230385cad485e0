"""P1, P4, P7, P9 and P12 for whole directories: archives and forms."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.access_log import complete_log
from tests.support.archives import FORM, FORMATS, Format, file_part, form, packed, unpacked
from tests.support.interposer_actions import answer, cut_body, refuse
from tests.support.interposer_exchange import Request
from tests.support.raw import connection, head, read_answer
from tests.support.s3_chain import MIB, PREFIX
from tests.support.s3_front import Front
from tests.support.scraping import scrape
from tests.support.server import Server
from tests.support.waiting import wait_until

MEMBERS = {"a": b"new", "b/large": os.urandom(7 * MIB), "c": b"", "z": b"last"}
"""With S3, one of them of two parts."""
FILES = form(*(file_part(name, content) for name, content in MEMBERS.items()))
KINDS = ("tar", "zip", "form")


def request_of(kind: str, directory: str, framing: str = "") -> tuple[bytes, bytes]:
    """The head and the body of a request that stores MEMBERS."""
    if kind == "form":
        body, asked = FILES, ("POST", f"/v1/artifacts/{directory}/", f"Content-Type: {FORM['Content-Type']}")
    else:
        body = packed("tar" if kind == "tar" else "zip", MEMBERS)
        asked = ("PUT", f"/v1/artifacts/{directory}/?archive={kind}", "X-None: none")
    return head(*asked, framing or f"Content-Length: {len(body)}"), body


@pytest.fixture(params=["local", "s3"])
def over(request: pytest.FixtureRequest) -> Server:
    """A server over a root of each kind."""
    if request.param == "local":
        server: Server = request.getfixturevalue("server")
        return server
    started: Server = request.getfixturevalue("front").server
    return started


@pytest.fixture
def left(over: Server, request: pytest.FixtureRequest) -> Callable[[], list[str]]:
    """What uploads that are not over have in the storage."""
    if isinstance(over.artifact_root, Path):
        return over.staged
    front: Front = request.getfixturevalue("front")
    return front.leftovers


@pytest.mark.parametrize("kind", KINDS)
def test_p01_nothing_is_seen_before_all_of_it_has_come(
    over: Server, client: httpx.Client, folder: str, kind: str
) -> None:
    client.put(f"{over.native}/{folder}/a", content=b"old").raise_for_status()
    begin, body = request_of(kind, folder)

    def seen() -> dict[str, int]:
        listed = client.get(f"{over.native}/{folder}/", params={"recursive": "true"}).json()["entries"]
        return {entry["path"].removeprefix(f"{folder}/"): entry["size"] for entry in listed}

    with connection(over.url) as connected:
        connected.sendall(begin)
        for start in range(0, len(body) - 1, MIB):
            connected.sendall(body[start : min(start + MIB, len(body) - 1)])
            assert seen() == {"a": 3}
            assert client.get(f"{over.native}/{folder}/a").content == b"old"
        connected.sendall(body[-1:])
        assert read_answer(connected).status == 201
    assert seen() == {name: len(content) for name, content in MEMBERS.items()}


def test_p04_a_killed_server_has_stored_nothing_of_what_was_coming_and_the_next_one_sweeps(
    serve: Callable[..., Server], client: httpx.Client
) -> None:
    server = serve()
    client.put(f"{server.native}/tar/a", content=b"old").raise_for_status()
    with ExitStack() as stack:
        for number, kind in enumerate(KINDS):
            begin, body = request_of(kind, kind)
            connected = stack.enter_context(connection(server.url))
            connected.sendall(begin + body[:-1])
            wait_until(lambda number=number: len(server.staged()) > number, "the upload has begun")  # type: ignore[misc]
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    assert server.tree() == {"tar/a": b"old"}
    successor = serve()
    wait_until(lambda: not successor.staged(), "what was left is swept")
    assert successor.tree() == {"tar/a": b"old"}


@pytest.mark.parametrize("framing", ["", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("kind", KINDS)
def test_p07_a_client_that_disappears_leaves_nothing(
    over: Server,
    client: httpx.Client,
    folder: str,
    left: Callable[[], list[str]],
    kind: str,
    framing: str,
) -> None:
    begin, body = request_of(kind, folder, framing)

    def running() -> float:
        return scrape(over, client).value("artifact_proxy_transfers_in_flight", kind="upload")

    for sent in (MIB, len(body) - 1):
        with connection(over.url) as connected:
            content = b"%x\r\n%b" % (len(body), body[:sent]) if framing else body[:sent]
            connected.sendall(begin + content)
            wait_until(running, "the upload has begun")
            if sent > MIB:
                wait_until(left, "some of it is in the storage")  # of little, S3 has nothing yet
        wait_until(lambda: not running(), "it is over")
        assert left() == []
    assert client.get(f"{over.native}/{folder}/").json()["entries"] == []


def completes(name: str) -> Callable[[Request], bool]:
    """Whether a request makes an object of that name."""
    operations = {"CompleteMultipartUpload", "PutObject"}
    return lambda request: (
        request.operation in operations and bool(request.key and request.key.endswith(name))
    )


def test_p09_an_archive_that_cannot_be_published_whole_says_how_much_is_there(
    front: Front, folder: str
) -> None:
    members = {f"{number:02}": b"data" for number in range(30)}
    front.interposer.on(completes(f"{folder}/10"), answer(403, "AccessDenied", "No."), times=None)
    url = front.url(f"{folder}/")
    refused = front.client.put(url, params={"archive": "tar"}, content=packed("tar", members))
    assert refused.status_code == 403
    assert "At least 10 of 30 artifacts were stored." in refused.json()["message"]
    stored = [key for key in front.artifacts() if key.startswith(folder)]
    assert f"{folder}/10" not in stored
    assert 10 <= len(stored) < 29
    wait_until(lambda: not front.leftovers(), "nothing else is left")


def test_p09_a_file_of_a_form_that_cannot_be_published_leaves_the_others_alone(
    front: Front, folder: str
) -> None:
    front.interposer.on(completes(f"{folder}/b"), answer(403, "AccessDenied", "No."), times=None)
    body = form(*map(file_part, "abc"))
    refused = front.client.post(front.url(f"{folder}/"), content=body, headers=FORM)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert [each.get("error_code") for each in refused.json()["files"]] == [None, "PERMISSION_DENIED", None]
    assert [key for key in front.artifacts() if key.startswith(folder)] == [f"{folder}/a", f"{folder}/c"]
    wait_until(lambda: not front.leftovers(), "nothing else is left")


def fetch(client: httpx.Client, url: str, archive: Format) -> bytes:
    """An archive that begins as one, whatever becomes of it then."""
    with client.stream("GET", url, params={"archive": archive}) as response:
        assert response.status_code == 200
        return response.read()


@pytest.mark.parametrize("archive", FORMATS)
@pytest.mark.parametrize("name", ["b", "c"])
def test_p12_an_archive_whose_storage_fails_in_the_middle_is_visibly_short(
    front: Front, folder: str, archive: Format, name: str
) -> None:
    """In a large member that is read at its turn, and in a small one that was read before."""
    members = {"a": os.urandom(2 * MIB), "b": os.urandom(MIB), "c": b"small", "d": b"last"}
    url = front.url(f"{folder}/")
    front.client.put(url, params={"archive": "tar"}, content=packed("tar", members)).raise_for_status()
    key = f"{PREFIX}{folder}/{name}"
    if name == "b":
        front.interposer.on(lambda request: request.key == key, cut_body(MIB // 2))
    front.interposer.on(lambda request: request.key == key, refuse, times=None)
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        fetch(front.client, url, archive)
    assert "Cut the download of" in complete_log(front.server)
    front.interposer.clear()
    front.interposer.forget_rules()
    assert unpacked(archive, fetch(front.client, url, archive)) == members


@pytest.mark.parametrize("archive", FORMATS)
def test_p12_a_storage_that_fails_at_once_is_told_by_the_status(
    front: Front, folder: str, archive: Format
) -> None:
    front.put(f"{folder}/a", b"data")
    front.interposer.on("GetObject", answer(403, "AccessDenied", "No."))
    refused = front.client.get(front.url(f"{folder}/"), params={"archive": archive})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "PERMISSION_DENIED")
    front.interposer.on("ListObjectsV2", answer(503, "SlowDown", "Later."), times=None)
    refused = front.client.get(front.url(f"{folder}/"), params={"archive": archive})
    assert refused.status_code == 503


@pytest.mark.parametrize("archive", FORMATS)
def test_p12_an_archive_of_a_local_file_that_is_cut_short_is_visibly_short(
    server: Server, client: httpx.Client, folder: str, archive: Format
) -> None:
    for name in "ab":
        client.put(f"{server.native}/{folder}/{name}", content=bytes(20 * MIB)).raise_for_status()
    with connection(server.url) as connected:
        connected.sendall(head("GET", f"/v1/artifacts/{folder}/?archive={archive}"))
        received = connected.recv(1000)
        with (server.root / folder / "a").open("r+b") as file:
            file.truncate(10 * MIB)
        while data := connected.recv(MIB):
            received = received[-1:] + data
    assert not received.endswith(b"0\r\n\r\n")
    assert "cut short" in complete_log(server)
