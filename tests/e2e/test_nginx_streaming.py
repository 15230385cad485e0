"""Bytes go through nginx as they come, in both directions, and it keeps none of them."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from tests.support.nginx import Nginx

MEGABYTE = 1024 * 1024
GIGABYTE = 1024 * MEGABYTE


def spooled(nginx: Nginx) -> list[str]:
    """The files that nginx keeps bodies in; it takes their names away as soon as it has them open."""
    opened: list[str] = []
    for worker in psutil.Process(nginx.process.pid).children():
        for descriptor in Path(f"/proc/{worker.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                opened.append(os.readlink(descriptor))
    left = [str(path) for path in nginx.state.rglob("*") if path.is_file()]
    logs = {str(nginx.state / name) for name in ("nginx.conf", "nginx.pid", "access.log", "nginx.log")}
    return [path for path in opened + left if path.startswith(str(nginx.state)) and path not in logs]


def memory(nginx: Nginx) -> int:
    """Bytes that the largest process of nginx takes."""
    largest: int = max(each.memory_info().rss for each in psutil.Process(nginx.process.pid).children())
    return largest


def test_a_gigabyte_goes_up_and_down_and_nothing_of_it_stays_in_nginx(
    nginx: Nginx, client: httpx.Client, folder: str
) -> None:
    url = f"{nginx.native}/{folder}/large.bin"
    address, path = urlsplit(url).netloc, urlsplit(url).path
    block = secrets.token_bytes(MEGABYTE)
    sent, received = hashlib.sha256(), hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for number in range(GIGABYTE // MEGABYTE):
            piece = number.to_bytes(8) + block[8:]
            sent.update(piece)
            yield piece
            if number % 100 == 99:
                assert spooled(nginx) == []

    try:
        with closing(HTTPConnection(address, timeout=60)) as up:
            up.request("PUT", path, pieces(), {"Content-Length": str(GIGABYTE)})
            assert up.getresponse().status == 201
        with closing(HTTPConnection(address, timeout=60)) as down:
            down.request("GET", path)
            answer = down.getresponse()
            received.update(answer.read(MEGABYTE))
            # As long as nobody takes the rest, nginx has nowhere to put it.
            client.put(f"{nginx.native}/{folder}/meanwhile", content=block * 20).raise_for_status()
            assert spooled(nginx) == []
            while piece := answer.read(MEGABYTE):
                received.update(piece)
        assert received.hexdigest() == sent.hexdigest()
        assert memory(nginx) < 64 * MEGABYTE
    finally:
        client.delete(url).raise_for_status()
