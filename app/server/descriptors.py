"""Open files, of which connections and the storage have only so many together."""

from __future__ import annotations

import logging
import resource
from typing import NamedTuple

logger = logging.getLogger(__name__)

MOST = 65_536
"""More are of no use to one process, and some systems have no limit at all."""
MOST_CONNECTIONS = 4096
"""As long as it is not said how many: each may take memory."""
SURPLUS = 32
"""Connections beyond those that are served, so that each is told so, and health is answered always."""
_OWN = 48
"""Of the process itself: listener, event loop, logs, libraries."""
_PER_THREAD = 2
"""Directories that a storage thread has open on its way to an artifact."""
_PER_TRANSFER = 2
"""The artifact, and a connection to the store that is kept for the next one."""


class Shares(NamedTuple):
    """How many there can be at once."""

    transfers: int
    connections: int

    def tell(self, *, transfers: int, connections: int) -> None:
        """Logs that there are fewer than were wanted."""
        for flag, wanted, possible in (
            ("--max-transfers", transfers, self.transfers),
            ("--max-connections", connections, self.connections),
        ):
            if possible < wanted:
                logger.warning(
                    "%s is %d here, not %d: the limit of open files leaves no room for more; raise it.",
                    *(flag, possible, wanted),
                )


def raise_limit() -> int:
    """Raises this process's limit of open files as far as it may be; gives what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST if soft == resource.RLIM_INFINITY else soft


def shares(limit: int, *, threads: int, transfers: int, connections: int) -> Shares:
    """What of `transfers` and `connections` has room in `limit` open files; 0 for as many as have,
    up to `MOST_CONNECTIONS`."""
    left = max(limit - _OWN - _PER_THREAD * threads - SURPLUS, 1 + _PER_TRANSFER)
    served = left // (1 + _PER_TRANSFER)  # each has a connection, too
    served = min(transfers or connections or MOST_CONNECTIONS, served)
    open_at_once = left - _PER_TRANSFER * served
    return Shares(served, min(connections or MOST_CONNECTIONS, open_at_once))
