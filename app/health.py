"""python -m app.health: whether the server of this environment answers, as a container's health check.

It knows the server's address from the same variables as the server does, and imports nothing of it,
because it is started again every few seconds.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from http.client import HTTPConnection, HTTPException

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
_SECONDS = 4


def main() -> int:
    """0 if the server answers GET /health with 200, else 1 and the reason."""
    host = _variable("HOST") or "127.0.0.1"
    given = _variable("PORT") or "5500"
    try:
        port = int(given)
    except ValueError:
        port = 0
    if not 0 < port < 65536:
        print(
            f"port {given!r} cannot be asked; set ARTIFACT_PROXY_PORT to one from 1 to 65535", file=sys.stderr
        )
        return 1
    try:
        with closing(HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=_SECONDS)) as connection:
            connection.request("GET", "/health")
            status = connection.getresponse().status
    except (OSError, HTTPException, UnicodeError) as error:  # the last for what is no host name
        print(f"artifact-proxy at {host} port {port} does not answer: {error!r}", file=sys.stderr)
        return 1
    if status != 200:
        print(f"artifact-proxy at {host} port {port} answers {status}", file=sys.stderr)
        return 1
    return 0


def _variable(name: str) -> str | None:
    return os.environ.get(f"ARTIFACT_PROXY_{name}") or os.environ.get(f"MLFLOW_{name}")


if __name__ == "__main__":
    sys.exit(main())
