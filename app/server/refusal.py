"""What a client is told before there is a request, in the form of all our errors."""

from __future__ import annotations

import http
import json
from collections.abc import Iterable
from email.utils import formatdate
from math import ceil
from typing import NamedTuple

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.headers import DEFAULT_POLICY

_CODES = {408: "REQUEST_LIMIT_EXCEEDED", 501: "NOT_IMPLEMENTED", 503: "TEMPORARILY_UNAVAILABLE"}


class Refusal(NamedTuple):
    """The connection is closed with it."""

    status: int
    message: str
    retry_after: float = 0
    """Seconds; 0 where the same would be refused again."""

    @property
    def phrase(self) -> str:
        return http.HTTPStatus(self.status).phrase

    def answer(self, request_id: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole response; `headers` are those that all have."""
        code = _CODES.get(self.status, "MALFORMED_REQUEST")
        body = json.dumps({"error_code": code, "message": self.message, "request_id": request_id}).encode()
        own = [
            (b"date", formatdate(usegmt=True).encode()),
            (b"x-request-id", request_id.encode()),
            (b"content-security-policy", DEFAULT_POLICY.encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        if self.retry_after:
            own.append((b"retry-after", b"%d" % ceil(self.retry_after)))
        lines = [b"%b: %b\r\n" % header for header in (*headers, *own)]
        return b"".join([STATUS_LINE[self.status], *lines, b"\r\n", body])


MALFORMED = Refusal(400, "This is not valid HTTP/1.1; the connection is closed.")


def not_implemented(method: bytes) -> Refusal:
    return Refusal(501, f"The method {method.decode('ascii')[:20]!r} is not implemented here.")
