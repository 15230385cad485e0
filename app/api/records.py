"""What the audit log and the access log tell of a request that is over."""

from __future__ import annotations

import json
import logging
import string
import time
from collections.abc import Callable
from typing import Any, Literal, Self
from urllib.parse import quote, unquote

from starlette.datastructures import Headers
from starlette.types import Scope

from app.api.forwarded import peer_of
from app.api.visit import Visit
from app.audit import AuditLog
from app.logs import ACCESS
from app.paths import ArtifactPath

access_log = logging.getLogger(ACCESS)

_SHOWN_BYTES = 512
"""Of each text, escaped: a pipe takes lines of up to 4096 bytes in one piece, whoever else writes."""
_SHOWN_PATH_BYTES = 1280
_STORED_BYTES = 3200
"""Of paths in one line, as `_SHOWN_BYTES`; the longest one, escaped, is some 3072."""
_KEPT = string.punctuation.replace('"', "").replace("\\", "")
_SHOWN_PARAMETERS = {"path", "recursive", "max_results", "actions", "view", "archive"}
"""Those that hold nothing secret, whatever clients put in others."""


def log_access(scope: Scope, visit: Visit) -> None:
    """An observer of visits that has a line written about each."""
    seconds = round(time.monotonic() - visit.started, 3)
    client = _word(scope["client"][0]) if scope.get("client") else None
    query = shown_query(scope["query_string"])
    target = _word(scope["raw_path"] + b"?" * bool(query) + query)
    by = f" aborted by {visit.aborted_by}" if visit.aborted_by else ""
    access_log.info(
        '%s "%s %s HTTP/%s" %s%s, %d bytes in, %d out, %.3f s',
        *(client or "-", scope["method"], target, scope["http_version"], visit.status or "-", by),
        *(visit.received, visit.sent, seconds),
        extra={
            "method": scope["method"],
            "target": target,
            "route": visit.route,
            "status": visit.status,
            "outcome": visit.outcome,
            "aborted_by": visit.aborted_by,
            "bytes_in": visit.received,
            "bytes_out": visit.sent,
            "seconds": seconds,
            "first_byte_seconds": visit.answered and round(visit.answered - visit.started, 3),
            "client": client,
        },
    )


class StoredRecords:
    """Records the artifacts of one request that stores many: as many in a line as fit.

    They are written while they are stored, from any thread, as they may be too many to be kept.
    """

    def __init__(self, audit: AuditLog, visit: Visit) -> None:
        self._audit = audit
        # The request id alone may be a stranger's choice.
        self._begin = {"request_id": visit.request_id, "who": _who(visit)}
        self._event = ""
        self._paths: list[str] = []
        self._size = 0

    def add(self, event: Literal["stored", "unsafe"], path: ArtifactPath) -> None:
        """`unsafe`: it was stored, but may be gone, now or after a crash."""
        if not self._audit.enabled:
            return
        text = str(path)
        size = len(json.dumps(text)) + len(", ")
        if event != self._event or self._size + size > _STORED_BYTES:
            self._write()
        self._event = event
        self._paths.append(text)
        self._size += size

    def _write(self) -> None:
        if self._paths:
            self._audit.write({"event": self._event, **self._begin, "paths": self._paths})
        self._paths, self._size = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Writes what is not written yet."""
        self._write()


def auditing(audit: AuditLog) -> Callable[[Scope, Visit], None]:
    """An observer of visits that records them."""

    def record(scope: Scope, visit: Visit) -> None:
        # Of what is public, health checks (503 is the answer to one) and the page's own files are not told.
        if audit.enabled and not (visit.public and visit.status in {200, 304, 307, 503}):
            audit.write(_audit_record(scope, visit), visit.started)

    return record


def _audit_record(scope: Scope, visit: Visit) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "event": "request",
        "request_id": visit.request_id,
        "who": _who(visit),
        "from": _cut(client[0]) if client else None,
        "peer": peer_of(scope),
        "method": scope["method"],
        "target": _cut(scope["raw_path"].decode("latin-1")),
        "action": None if visit.action is None else visit.action.value,
        "path": None if visit.path is None else _cut(str(visit.path), _SHOWN_PATH_BYTES),
        "outcome": visit.outcome,
        "status": visit.status,
        "error": visit.error,
        "bytes_in": visit.received,
        "bytes_out": visit.sent,
        "user_agent": _cut(Headers(scope=scope).get("user-agent", "")),
    }


def _who(visit: Visit) -> dict[str, str] | None:
    who = visit.identity
    return None if who is None else {"kind": who.kind, "name": _cut(who.name)}


def _cut(text: str, size: int = _SHOWN_BYTES) -> str:
    """So much of it that a line is written in one piece, whatever strangers send."""
    shown = text[:size]
    while len(json.dumps(shown)) > size + len('""'):
        shown = shown[: len(shown) * 7 // 8]
    return shown if shown == text else f"{shown}…"


def _word(text: str | bytes) -> str:
    """As it came, but for what would end it in a line, and not much longer than a line should be."""
    word = quote(text, safe=_KEPT)
    return word if len(word) <= _SHOWN_BYTES else f"{word[:_SHOWN_BYTES]}..."


def shown_query(query: bytes) -> bytes:
    """What of a query may stand in a log."""
    parts = query.split(b"&")
    return b"&".join(
        part for part in parts if unquote(part.partition(b"=")[0].decode("latin-1")) in _SHOWN_PARAMETERS
    )
