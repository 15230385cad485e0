"""Clients that hold connections without using them lose them."""

from __future__ import annotations

import socket
from collections.abc import Callable

import httpx
import pytest

from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.raw import connection, head, read_answer
from tests.support.waiting import wait_until

IMPATIENT = {
    "client_header_timeout 15s;": "client_header_timeout 1s;",
    "client_body_timeout 60s;": "client_body_timeout 1s;",
    "send_timeout 60s;": "send_timeout 300ms;",
}
"""What is shipped, and what a test can wait for."""
LARGE = 24 * 1024 * 1024
"""More than the kernel keeps for a connection."""


@pytest.fixture
def impatient(replicas: Replicas, start_nginx: Callable[..., Nginx]) -> Nginx:
    return start_nginx(*replicas.urls, replaced=IMPATIENT)


def is_closed(connected: socket.socket, more: bytes = b"") -> bool:
    """Whether the other side has ended the connection; sends it `more`, and waits a short while."""
    connected.settimeout(0.1)
    try:
        connected.sendall(more)
        return not connected.recv(4096)
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(
    client: httpx.Client, impatient: Nginx, replicas: Replicas, folder: str
) -> None:
    with connection(impatient.url) as connected:
        connected.sendall(f"GET /v1/artifacts/{folder}/ HTTP/1.1\r\nHost: a\r\nX: ".encode())
        wait_until(lambda: is_closed(connected, b"x"), "the end of the connection")
    assert replicas.counts(folder) == [0, 0]
    assert client.get(f"{impatient.url}/health").status_code == 200


def test_a_body_that_stops_is_not_waited_for_and_leaves_nothing(
    client: httpx.Client, impatient: Nginx, replicas: Replicas, folder: str
) -> None:
    with connection(impatient.url) as connected:
        connected.sendall(
            head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 1000000") + bytes(500_000)
        )
        wait_until(lambda: is_closed(connected), "the end of the connection")
    assert client.get(f"{replicas.one.native}/{folder}/a").status_code == 404


def test_a_download_that_nobody_takes_is_not_waited_for(
    client: httpx.Client, impatient: Nginx, replicas: Replicas, folder: str
) -> None:
    client.put(f"{replicas.one.native}/{folder}/a", content=bytes(LARGE)).raise_for_status()
    with connection(impatient.url) as connected:
        connected.sendall(head("GET", f"/v1/artifacts/{folder}/a"))
        wait_until(lambda: folder in impatient.log(), "the line that nginx writes when a request is over")
        with pytest.raises(ConnectionResetError):
            read_answer(connected)
