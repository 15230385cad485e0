"""How Caddy and Traefik, as docs/reverse-proxies.md shows them, treat a server that answers oddly."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.content import MEGABYTE
from tests.support.other_proxies import PROGRAMS, running_front, upstream
from tests.support.waiting import SECONDS
from tests.support.wire import Wire


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_download_arrives_while_the_server_still_keeps_its_second_half(
    program: str, tmp_path: Path
) -> None:
    arrived = threading.Event()
    half = bytes(MEGABYTE)

    def answer(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (2 * len(half)))
        wire.send(half)
        assert arrived.wait(SECONDS)
        wire.send(half)

    with (
        upstream({"slow.bin": answer}) as one,
        upstream({"slow.bin": answer}) as other,
        running_front(program, tmp_path / "front", [one.url, other.url]) as front,
        front.client.stream("GET", f"{front.native}/slow.bin") as response,
    ):
        # A proxy may keep the last few kilobytes until there are more.
        pieces = response.iter_raw(len(half) // 2)
        first = next(pieces)
        arrived.set()
        assert first + b"".join(pieces) == half * 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_of_which_a_part_was_sent_is_sent_again(program: str, tmp_path: Path) -> None:
    def answer(wire: Wire) -> None:
        """Only ends the connection."""

    with (
        upstream({"lost.bin": answer}) as one,
        upstream({"lost.bin": answer}) as other,
        running_front(program, tmp_path / "front", [one.url, other.url]) as front,
    ):
        # A failure may take a server out for a while; so there is one for each request.
        for method in ("DELETE", "PUT"):
            body = b"x" * 100 if method == "PUT" else b""
            answered = front.client.request(method, f"{front.native}/{method}/lost.bin", content=body)
            assert answered.status_code == 502
            assert sum(method in target for target in one.asked + other.asked) == 1
