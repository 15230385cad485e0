"""The layer around nearly all others: a request's visit, and what every answer has."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import problems, ui
from app.api.headers import DEFAULT_POLICY
from app.api.visit import Visit, begin
from app.logs import REQUEST_ID

PUBLIC = frozenset({"/health", "/ready"})
"""Whoever checks health has no credential, and knows the address alone."""

Observer: TypeAlias = Callable[[Scope, Visit], None]


class PublicPaths(NamedTuple):
    """What anybody may read."""

    under_any_host: frozenset[str] = frozenset()
    under_own_hosts: frozenset[str] = frozenset()
    below: tuple[str, ...] = ()
    """Under the server's own host names, too."""


def public_paths(static_prefix: str, *, with_ui: bool) -> PublicPaths:
    prefixes = {"", static_prefix}
    health = frozenset(prefix + path for prefix in prefixes for path in PUBLIC)
    if not with_ui:
        return PublicPaths(health)
    pages = frozenset(prefix + path for prefix in prefixes for path in ui.PATHS)
    return PublicPaths(health, pages, tuple(prefix + ui.STATIC for prefix in prefixes))


class Visits:
    def __init__(self, app: ASGIApp, public: PublicPaths, observers: Sequence[Observer]) -> None:
        """`observers` are told of each visit when it is over."""
        self._app = app
        self._public = public
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = begin(scope, Headers(scope=scope).get("x-request-id"))
        REQUEST_ID.set(visit.request_id)  # for what is logged behind all layers, too
        path = scope["raw_path"].decode("latin-1")
        if scope["method"] in {"GET", "HEAD"}:
            visit.any_host = path in self._public.under_any_host
            visit.public = (
                visit.any_host or path in self._public.under_own_hosts or path.startswith(self._public.below)
            )
        inner = dict(scope)
        answered = _completing(send, visit, head=scope["method"] == "HEAD")
        try:
            await self._app(inner, _counting(receive, visit), answered)
        except asyncio.CancelledError:
            visit.cancelled = True
            raise
        except Exception as error:
            # Here, as what answers outside of all layers says nothing of the visit.
            if visit.status is None:
                response = await problems.unexpected(Request(inner), error)
                await response(inner, receive, answered)
            raise
        finally:
            self._finish(scope, visit)

    def _finish(self, scope: Scope, visit: Visit) -> None:
        """What is released first is what was taken last."""
        observations = [partial(observe, scope, visit) for observe in self._observers]
        _call([*observations, *visit.at_end])


def _call(steps: list[Callable[[], None]]) -> None:
    """All of them, the last one first, whatever one of them raises."""
    try:
        while steps:
            steps.pop()()
    finally:
        if steps:
            _call(steps)


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
            visit.answered = time.monotonic()
            message["headers"] = [*message.get("headers", ()), *_missing(message, visit)]
        await send(message)
        if message["type"] == "http.response.body":
            if not head:  # the server sends no body then
                visit.sent += len(message.get("body", b""))
            visit.complete = not message.get("more_body", False)

    return completed


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


def _missing(message: Message, visit: Visit) -> list[tuple[bytes, bytes]]:
    present = {name for name, _ in message.get("headers", ())}
    wanted = [
        # Of now, so that nothing in the answer is later (RFC 9110, section 8.8.2.1).
        (b"date", _date(int(time.time()))),
        (b"x-request-id", visit.request_id.encode()),
        (b"content-security-policy", DEFAULT_POLICY.encode()),
    ]
    return [(name, value) for name, value in wanted if name not in present]
