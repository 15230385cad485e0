"""The way to the routes that move bytes, which is walked more often than all others.

FastAPI compares a path with one route after the other and prepares for what routes may want:
parameters, dependencies, resources of the request. That takes longer than a small artifact does. The
routes here want the request alone, so they are found by how their path begins and called at once;
everything else takes FastAPI's way, and so do these wherever there is any doubt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, TypeAlias

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import problems
from app.errors import ArtifactError

_REST = "{path:path}"
"""With what the template of such a route ends."""

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class _Target(NamedTuple):
    route: APIRoute
    endpoint: Endpoint


class Shortcut:
    def __init__(self, app: ASGIApp, routers: Iterable[APIRouter]) -> None:
        """`routers`: those of `app` with the routes that are meant."""
        self._app = app
        self._targets: dict[str, dict[str, _Target]] = {}
        """By the beginning of the path, and the method."""
        for route in _routes(routers):
            targets = self._targets.setdefault(route.path.removesuffix(_REST), {})
            targets |= {method: _Target(route, route.endpoint) for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        target, rest = found
        scope["route"] = target.route
        scope["path_params"] = {"path": rest}
        request = Request(scope, receive, send)
        try:
            response = await target.endpoint(request)
        except ArtifactError as error:
            response = problems.answer(request, error)
        await response(scope, receive, send)

    def _find(self, scope: Scope) -> tuple[_Target, str] | None:
        path = scope["path"].removeprefix(scope["root_path"])
        if path.endswith("/"):
            return None  # a directory's listing, perhaps
        for start, targets in self._targets.items():
            if path.startswith(start):
                target = targets.get(scope["method"])
                return target and (target, path[len(start) :])
        return None


def _routes(routers: Iterable[APIRouter]) -> Iterable[APIRoute]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.path.endswith(_REST):
                yield route
