"""The layer around nearly all others: a request's visit, what every answer has, and the audit log."""

from __future__ import annotations

import json
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems
from app.api.forwarded import peer_of
from app.api.headers import DEFAULT_POLICY
from app.api.visit import Visit, begin
from app.audit import AuditLog

PUBLIC = frozenset({"/health"})
"""Whoever checks health has no credential, and knows the address alone."""
_SHOWN_BYTES = 512
"""Of each text, escaped: a pipe takes lines of up to 4096 bytes in one piece, whoever else writes."""
_SHOWN_PATH_BYTES = 1280
_SHOWN_PARAMETERS = {"path", "recursive", "max_results"}
"""Those that hold nothing secret, whatever clients put in others."""


def public_paths(static_prefix: str) -> frozenset[str]:
    return PUBLIC | {static_prefix + path for path in PUBLIC}


class Visits:
    def __init__(self, app: ASGIApp, audit: AuditLog, public: frozenset[str]) -> None:
        """`public`: what anybody may read."""
        self._app = app
        self._audit = audit
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visit = begin(scope, headers.get("x-request-id"))
        path = scope["raw_path"].decode("latin-1")
        visit.public = path in self._public and scope["method"] in {"GET", "HEAD"}
        inner = dict(scope)
        answered = _completing(send, visit, head=scope["method"] == "HEAD")
        # The server logs its own scope once the answer starts.
        scope["query_string"] = shown_query(scope["query_string"])
        try:
            await self._app(inner, _counting(receive, visit), answered)
        except Exception as error:
            # Here, as what answers outside of all layers says nothing of the visit.
            if visit.status is None:
                response = await problems.unexpected(Request(inner), error)
                await response(inner, receive, answered)
            raise
        finally:
            for release in visit.at_end:
                release()
            self._record(scope, headers, visit)

    def _record(self, scope: Scope, headers: Headers, visit: Visit) -> None:
        if not self._audit.enabled or (visit.public and visit.status == 200):
            return  # the last are health checks
        who = visit.identity
        client = scope.get("client")
        self._audit.write(
            {
                "event": "request",
                "request_id": visit.request_id,
                "who": None if who is None else {"kind": who.kind, "name": _cut(who.name)},
                "from": _cut(client[0]) if client else None,
                "peer": peer_of(scope),
                "method": scope["method"],
                "target": _cut(scope["raw_path"].decode("latin-1")),
                "action": None if visit.action is None else visit.action.value,
                "path": None if visit.path is None else _cut(str(visit.path), _SHOWN_PATH_BYTES),
                "outcome": _outcome(visit),
                "status": visit.status,
                "error": visit.error,
                "bytes_in": visit.received,
                "bytes_out": visit.sent,
                "user_agent": _cut(headers.get("user-agent", "")),
            },
            visit.started,
        )


def _cut(text: str, size: int = _SHOWN_BYTES) -> str:
    """So much of it that a line is written in one piece, whatever strangers send."""
    shown = text[:size]
    while len(json.dumps(shown)) > size + len('""'):
        shown = shown[: len(shown) * 7 // 8]
    return shown if shown == text else f"{shown}…"


def _outcome(visit: Visit) -> str:
    if visit.status is None or not visit.complete or visit.gone:
        return "aborted"
    if visit.status < 400:
        return "done"
    return {401: "unauthenticated", 403: "denied"}.get(visit.status, "failed")


def _counting(receive: Receive, visit: Visit) -> Receive:
    async def counted() -> Message:
        message = await receive()
        visit.received += len(message.get("body", b""))
        visit.gone |= message["type"] == "http.disconnect" and not visit.complete
        return message

    return counted


def _completing(send: Send, visit: Visit, *, head: bool) -> Send:
    async def completed(message: Message) -> None:
        if message["type"] == "http.response.start":
            visit.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *_missing(message, visit)]
        await send(message)
        if message["type"] == "http.response.body":
            if not head:  # the server sends no body then
                visit.sent += len(message.get("body", b""))
            visit.complete = not message.get("more_body", False)

    return completed


def _missing(message: Message, visit: Visit) -> list[tuple[bytes, bytes]]:
    present = {name for name, _ in message.get("headers", ())}
    wanted = [
        (b"x-request-id", visit.request_id.encode()),
        (b"content-security-policy", DEFAULT_POLICY.encode()),
    ]
    return [(name, value) for name, value in wanted if name not in present]


def shown_query(query: bytes) -> bytes:
    """What of a query may stand in a log."""
    parts = query.split(b"&")
    return b"&".join(
        part for part in parts if unquote(part.partition(b"=")[0].decode("latin-1")) in _SHOWN_PARAMETERS
    )
