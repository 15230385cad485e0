"""The processes of a server that has several."""

from __future__ import annotations

import re

from tests.support.server import Server
from tests.support.waiting import wait_until


def started_workers(server: Server, count: int) -> list[int]:
    """The process ids of all workers so far, in the order of their start, once `count` of them serve."""
    complete = "Application startup complete."
    wait_until(lambda: server.log().count(complete) == count, f"{count} workers have started")
    return [int(number) for number in re.findall(r"Started server process \[(\d+)\]", server.log())]
