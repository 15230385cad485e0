"""Browsers' questions about pages of other origins (CORS), answered in our own form."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import problems
from app.errors import NotPermitted

_REQUEST_HEADERS = [
    *("Authorization", "Content-Type", "Content-MD5", "Content-Digest", "Repr-Digest", "Want-Repr-Digest"),
    *("Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"),
    "X-Request-Id",
]
_RESPONSE_HEADERS = [
    *("ETag", "Content-Range", "Accept-Ranges", "Content-Disposition", "Location", "Repr-Digest"),
    *("Retry-After", "X-Request-Id"),
]


class Cors(CORSMiddleware):
    def __init__(self, app: ASGIApp, origins: list[str]) -> None:
        """`origins`: whose pages may use the server."""
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=problems.METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except NotPermitted as error:  # of the preflight: what is inside answers by itself
            await problems.answer(Request(scope), error)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """The permission that a browser asks for. Raises `NotPermitted`."""
        response = super().preflight_response(request_headers)
        if response.status_code != 200:
            origin = request_headers["origin"]
            message = f"Pages of {origin[:100]!a} may not send such a request"
            if not self.is_allowed_origin(origin):
                message += "; who runs this server can add them to --cors-allowed-origins"
            raise NotPermitted(f"{message}.")
        return response
