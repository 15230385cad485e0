"""Nothing that arrives wrong is counted as having arrived."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from multiprocessing.pool import ThreadPool

import pytest

from benchmarks.content import BLOCK_BYTES, WrongTransfer, pieces, span, verify
from benchmarks.keepalive import Question, ask
from benchmarks.load import Transfer, run_one
from tests.support.loopback import listening

SIZE = 5 * BLOCK_BYTES + 1
CONTENT = 3
ARTIFACT = b"".join(pieces(SIZE, CONTENT))
PIECE = 256 * 1024
RANGE = 1000

Lie = Callable[[bytes], bytes]


def flipped(data: bytes) -> bytes:
    return data[:700] + bytes([data[700] ^ 1]) + data[701:]


def swapped(data: bytes) -> bytes:
    """Two pieces of the size in which servers read, one in the place of the other."""
    return data[PIECE : 2 * PIECE] + data[:PIECE] + data[2 * PIECE :]


def shortened(data: bytes) -> bytes:
    return data[:-1]


def lengthened(data: bytes) -> bytes:
    return data + b"x"


def another(data: bytes) -> bytes:
    return span(CONTENT + 1, 0, len(data))


LIES = [flipped, swapped, shortened, lengthened, another]


def serving(lie: Lie, *, chunked: bool = False, moved: int = 0) -> type[BaseHTTPRequestHandler]:
    class Liar(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            body = ARTIFACT
            if asked:
                first, last = int(asked[1]), int(asked[2])
                body = span(CONTENT, first + moved, last + 1 - first)
            body = lie(body)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{SIZE}")
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            else:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # a client that has seen enough leaves
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Liar


def honestly(data: bytes) -> bytes:
    return data


def download(url: str) -> int:
    with ThreadPool(1) as clients:
        return run_one(clients, Transfer("GET", f"{url}/artifact", SIZE, CONTENT)).bytes


def ask_again_and_again(url: str, range_bytes: int = 0) -> int:
    with ThreadPool(1) as clients:
        return len(ask(clients, Question(f"{url}/artifact", SIZE, CONTENT, range_bytes), 2, 0.05).latencies)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_honest_server_is_believed(chunked: bool) -> None:
    with listening(serving(honestly, chunked=chunked)) as url:
        assert download(url) == SIZE
        assert ask_again_and_again(url) >= 1
        assert ask_again_and_again(url, RANGE) >= 1


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("lie", LIES)
def test_a_download_with_other_bytes_is_wrong(lie: Lie, chunked: bool) -> None:
    with listening(serving(lie, chunked=chunked)) as url:
        with pytest.raises(WrongTransfer):
            download(url)
        with pytest.raises(WrongTransfer):
            ask_again_and_again(url)


@pytest.mark.parametrize("moved", [1, PIECE, 4 * PIECE])
def test_a_range_from_another_place_is_wrong(moved: int) -> None:
    with listening(serving(honestly, moved=moved)) as url, pytest.raises(WrongTransfer):
        ask_again_and_again(url, RANGE)


@pytest.mark.parametrize("lie", LIES)
def test_an_upload_of_which_other_bytes_are_kept_is_wrong(lie: Lie) -> None:
    verify(io.BytesIO(ARTIFACT), SIZE, CONTENT)
    with pytest.raises(WrongTransfer):
        verify(io.BytesIO(lie(ARTIFACT)), SIZE, CONTENT)
