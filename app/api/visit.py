"""One request as it is known here: where it comes from, who asks for what, and what came of it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import HTTPConnection

from app.identity.base import Identity
from app.identity.permissions import Action
from app.paths import ArtifactPath

_KEY = "artifact-proxy.visit"
GONE = "artifact-proxy.gone"
"""The future in a request's scope that is done when its client is gone."""
LOOK = "artifact-proxy.look"
"""What in a request's scope is called now and then while nothing is read: only so it is noticed that the
client has closed the connection, and `GONE` is done."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Visit:
    request_id: str
    public: bool = False
    """Whether it is answered without a credential."""
    any_host: bool = False
    """Whether it is answered under any host name."""
    identity: Identity | None = None
    by_cookie: bool = False
    """Whether the session cookie was the credential."""
    action: Action | None = None
    path: ArtifactPath | None = None
    route: str | None = None
    """The template of the route that took it."""
    error: str | None = None
    """The error code of the answer."""
    received: int = 0
    """Bytes of the request's body, as `sent` of the response's."""
    sent: int = 0
    status: int | None = None
    complete: bool = False
    """Whether the whole response was handed over."""
    gone: bool = False
    """Whether the client went away before that."""
    cancelled: bool = False
    """Whether this server gave it up before that."""
    started: float = field(default_factory=time.monotonic)
    answered: float | None = None
    """When the response began, by the same clock."""
    at_end: list[Callable[[], None]] = field(default_factory=list)
    """Called when the request is over, however it ended."""

    @property
    def outcome(self) -> str:
        """In one word, for logs."""
        if self.status is None or not self.complete or self.gone:
            return "aborted"
        if self.status < 400:
            return "done"
        return {401: "unauthenticated", 403: "denied"}.get(self.status, "failed")

    @property
    def aborted_by(self) -> Literal["client", "server"] | None:
        if self.outcome != "aborted":
            return None
        return "client" if self.gone and not self.cancelled else "server"


def request_id(given: str | None = None) -> str:
    """The one that was given, if it can be taken over, and else a new one."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def begin(scope: MutableMapping[str, Any], given_id: str | None) -> Visit:
    """Starts the visit of a request."""
    visit = Visit(request_id(given_id))
    scope[_KEY] = visit
    return visit


def visit_of(request: HTTPConnection | Mapping[str, Any]) -> Visit:
    visit = request.get(_KEY)
    assert isinstance(visit, Visit), "no request comes in past the outermost layers"
    return visit
