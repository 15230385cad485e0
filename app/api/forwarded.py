"""Requests that come through a reverse proxy: who asked it, and how.

Only the addresses that the operator trusts are believed; from all others X-Forwarded-* says nothing.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_PROXIED = "artifact-proxy.proxied"
_PEER = "artifact-proxy.peer"


class Forwarded:
    """Puts the client's address and scheme in the place of the proxy's, also for the access log."""

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        """`trusted`: addresses and networks, separated by commas, or `*`."""
        # The types of ASGI are uvicorn's here, and Starlette's elsewhere.
        self._rewritten = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            peer = scope["client"][0] if scope.get("client") else None
            named = any(name == b"x-forwarded-for" for name, _ in scope["headers"])
            scope[_PEER] = peer
            scope[_PROXIED] = named and peer in self._rewritten.trusted_hosts
        await self._rewritten(scope, receive, send)  # type: ignore[arg-type]  # the types again


def peer_of(scope: Scope) -> str | None:
    """The address at the other end of the connection, which no header can change."""
    peer = scope[_PEER]
    assert peer is None or isinstance(peer, str)
    return peer


def is_proxied(request: Request) -> bool:
    """Whether a trusted reverse proxy sent the request on for somebody else."""
    return bool(request.scope.get(_PROXIED))
