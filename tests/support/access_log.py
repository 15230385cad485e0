"""What a server was asked, as its own access log has it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.support.server import Server

_LINE = re.compile(r'"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/1\.1" (?P<status>\d{3})')


class Logged(NamedTuple):
    method: str
    target: str
    status: int


def logged(server: Server, part: str) -> list[Logged]:
    """The answered requests whose target contains `part`, oldest first.

    The line is written before the answer is sent, so an answered request is always there.
    """
    return [
        Logged(found["method"], found["target"], int(found["status"]))
        for found in _LINE.finditer(server.log())
        if part in found["target"]
    ]
