"""What a server was asked, as its own access log has it."""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.raw import exchange, head
from tests.support.server import Server
from tests.support.waiting import wait_until

_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.1" (?P<status>\d{3})')


class Logged(NamedTuple):
    method: str
    target: str
    status: int


def logged(server: Server, part: str) -> list[Logged]:
    """The answered requests whose target contains `part`, in the order in which they ended."""
    return [
        Logged(found["method"], found["target"], int(found["status"]))
        for found in _LINE.finditer(complete_log(server))
        if part in found["target"]
    ]


def complete_log(server: Server) -> str:
    """The log of a server with one worker, once it has the requests that were answered before.

    A line is written at the end of its request, when a client may have had its answer for a moment.
    """
    for _ in range(2):  # one alone could be quicker than the end of a download
        _ask_and_wait(server)
    return server.log()


def _ask_and_wait(server: Server) -> None:
    request_id = secrets.token_hex(16)
    path = f"{urlsplit(server.url).path}/health"
    asked = exchange(server.url, head("GET", path, f"X-Request-Id: {request_id}", "Connection: close"))
    assert asked.status == 200
    wait_until(lambda: request_id in server.log(), "the server writes down what it was asked")
