"""Free TCP ports of this machine, for servers that cannot say which one they got."""

from __future__ import annotations

import secrets
import socket
from contextlib import ExitStack, suppress


def free_ports(count: int, *, twin: int = 0) -> list[int]:
    """Free ports, each with that one free as well which is higher by `twin`.

    They are below those that outgoing connections get.
    """
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = 10_000 + secrets.randbelow(12_000)
            with suppress(OSError):
                for number in {port, port + twin}:
                    held.enter_context(socket.socket()).bind(("127.0.0.1", number))
                ports.append(port)
        return ports
