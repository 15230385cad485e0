"""P7: a client that disappears in the middle of an upload leaves nothing, and the old artifact stays."""

from __future__ import annotations

import socket

import httpx
import pytest

from tests.support.raw import connection, head
from tests.support.s3_chain import MIB, PART, PREFIX
from tests.support.s3_front import Front
from tests.support.server import Server
from tests.support.waiting import wait_until

SIZE = 12 * MIB
RESET = b"\1\0\0\0\0\0\0\0"
"""For SO_LINGER: the connection ends as that of a client that crashed."""
SENT = {
    "before the first part": 0,
    "in the first part": 1,
    "at its end": PART,
    "after part 1": PART + MIB,
    "at the end of part 2": 2 * PART,
    "after part 2": 2 * PART + MIB,
    "before the end": SIZE - 1,
}
framed = pytest.mark.parametrize("framing", [f"Content-Length: {SIZE}", "Transfer-Encoding: chunked"])
UPLOADS = [("a", True), ("new/b", False)]
"""In the place of an old artifact and in a new directory; by a client that resets or closes it."""


def send(connected: socket.socket, target: str, framing: str, sent: int) -> None:
    """The beginning of an upload."""
    body = bytes(sent)
    if "chunked" in framing:
        body = b"%x\r\n%b" % (SIZE, body)
    connected.sendall(head("PUT", target, framing) + body)


def leave(connected: socket.socket, *, reset: bool) -> None:
    if reset:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connected.close()


@framed
@pytest.mark.parametrize("sent", [0, 1, 2 * MIB, SIZE - 1])
def test_p07_a_client_that_disappears_leaves_no_file_in_a_local_root(
    server: Server, client: httpx.Client, folder: str, framing: str, sent: int
) -> None:
    client.put(f"{server.native}/{folder}/a", content=b"old")
    for name, reset in UPLOADS:
        with connection(server.url) as connected:
            send(connected, f"/v1/artifacts/{folder}/{name}", framing, sent)
            wait_until(server.staged, "the upload has begun")
            leave(connected, reset=reset)
        wait_until(lambda: not server.staged(), "nothing of the upload is left")
    assert client.get(f"{server.native}/{folder}/a").content == b"old"
    assert not (server.root / folder / "new").exists()


@framed
@pytest.mark.parametrize("when", SENT)
def test_p07_a_client_that_disappears_leaves_no_multipart_upload_and_no_record_in_s3(
    front: Front, folder: str, framing: str, when: str
) -> None:
    front.put(f"{folder}/a", b"old")
    for name, reset in UPLOADS:
        key = f"{PREFIX}{folder}/{name}"

        def reached(operation: str | None, key: str = key) -> int:
            return sum(request.key == key for request in front.interposer.requests(operation))

        front.interposer.clear()
        with connection(front.server.url) as connected:
            send(connected, f"/v1/artifacts/{folder}/{name}", framing, SENT[when])
            wait_until(lambda: reached(None), "the upload has begun")
            wait_until(lambda: reached("UploadPart") >= SENT[when] // (PART + MIB // 2), "its parts are sent")
            leave(connected, reset=reset)
        wait_until(lambda: not front.leftovers(), "nothing of the upload is left")
        assert reached("CompleteMultipartUpload") == 0
    assert front.get(f"{folder}/a").content == b"old"
    assert front.get(f"{folder}/new/b").status_code == 404
    assert "Traceback" not in front.server.log()
