"""Requests as they are once they have passed the outermost layers."""

from __future__ import annotations

from starlette.requests import Request

from app.api.visit import begin
from app.identity.base import ANYBODY


def of_anybody(request: Request) -> Request:
    """The request, from a caller whom nobody asks."""
    begin(request.scope, None).identity = ANYBODY
    return request
