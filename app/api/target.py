"""The request target as the client sent it: routes match on it before anything is decoded."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.visit import visit_of
from app.errors import InvalidRequest
from app.paths import percent_decode


class RawTarget:
    """Routes by the undecoded path, and below the static prefix as well as without it.

    `root_path` is where a reverse proxy shows the server that takes it off before it sends a request
    on. The server's own URLs begin with it, and then with the static prefix if the request's did.

    The server decodes the path leniently before it calls us; so an encoded slash could pass for a
    real one and different bytes for the same name. Artifact paths are decoded by `app.paths` alone.
    """

    def __init__(self, app: ASGIApp, static_prefix: str, root_path: str) -> None:
        self._app = app
        self._prefix = static_prefix
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"].decode("latin-1")
            prefixed = bool(self._prefix) and path.startswith(self._prefix + "/")
            scope = {
                **scope,
                "path": self._root_path + path,
                "root_path": self._root_path + (self._prefix if prefixed else ""),
            }
        try:
            await self._app(scope, receive, send)
        finally:
            if (route := scope.get("route")) is not None:
                visit_of(scope).route = route.path


def query_parameter(request: Request, name: str) -> str | None:
    """The value of a query parameter, decoded once and strictly; None if it is absent.

    Raises `InvalidRequest` if it is there twice, and `InvalidPath` for broken encoding.
    """
    raw = request.scope["query_string"].decode("latin-1")
    # Only splits: "%" is put out of its reach, to be decoded by `percent_decode` instead.
    pairs = parse_qsl(raw.replace("%", "%25"), keep_blank_values=True)
    values = [percent_decode(value) for key, value in pairs if unquote(key) == name]
    if len(values) > 1:
        raise InvalidRequest(f"The query parameter {name!r} is there {len(values)} times; give it once.")
    return values[0] if values else None
