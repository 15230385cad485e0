"""The layer that makes each request a span of a trace. See `app.tracing`.

A span holds no path, query, header or identity: traces go to places where logs do not. The request id
leads to the line of the log that does.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.visit import Visit, visit_of
from app.tracing import Tracing

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"})
_HOST_SIZE = 255


class ServerSpans:
    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        known = scope["method"] in _METHODS
        attributes = {
            "http.request.method": scope["method"] if known else "_OTHER",
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
            **_server(Headers(scope=scope).get("host", "")),
        }
        method = scope["method"] if known else "HTTP"
        with self._tracing.serving(method, _joined(scope), attributes) as span:
            try:
                await self._app(scope, receive, send)
            finally:
                visit = visit_of(scope)
                if visit.route is not None:
                    span.rename(f"{method} {visit.route}")
                span.end(_outcome(visit), error=_error(visit))


def _joined(scope: Scope) -> dict[str, str]:
    headers = Headers(scope=scope)
    # Of a header that comes more than once the parts of a list, which some of them are.
    return {name: ",".join(headers.getlist(name)) for name in headers}


def _server(host: str) -> dict[str, str | int]:
    try:
        parts = urlsplit(f"//{host[:_HOST_SIZE]}")
        port = {} if parts.port is None else {"server.port": parts.port}
    except ValueError:
        return {}
    return {"server.address": parts.hostname, **port} if parts.hostname else {}


def _outcome(visit: Visit) -> dict[str, str | int | float]:
    known = {"http.route": visit.route, "http.response.status_code": visit.status}
    return {
        "artifact_proxy.request_id": visit.request_id,
        "artifact_proxy.outcome": visit.outcome,
        "http.request.body.size": visit.received,
        "http.response.body.size": visit.sent,
        **{name: value for name, value in known.items() if value is not None},
    }


def _error(visit: Visit) -> str | None:
    """What the server is to blame for: by the conventions a caller's mistake is none."""
    if visit.status is not None and visit.status >= 500:
        return str(visit.status)
    return "aborted" if visit.aborted_by == "server" else None
