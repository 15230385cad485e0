"""What Prometheus is told of requests that are over."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from starlette.types import Scope

from app import metrics
from app.api.visit import Visit
from app.identity.permissions import Action

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

OTHER = "other"
"""Stands for whatever strangers may think up, so that there are never more labels than the server has."""
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
_TRANSFERS = {
    ("PUT", Action.WRITE): "upload",
    ("POST", Action.WRITE): "upload",
    ("GET", Action.READ): "download",
}
# Shown from the start, as the first of a kind is an increase too.
_ABORTED = {kind: metrics.ABORTED.labels(kind) for kind in {*_TRANSFERS.values(), OTHER}}


class _Meters(NamedTuple):
    """Those of one route and method."""

    duration: Histogram
    first_byte: Histogram
    received: Counter
    sent: Counter


def measure(scope: Scope, visit: Visit) -> None:
    """An observer of visits."""
    method = scope["method"] if scope["method"] in _METHODS else OTHER
    route = visit.route or OTHER
    meters = _meters(route, method)
    meters.duration.observe(time.monotonic() - visit.started)
    if visit.answered is not None:
        meters.first_byte.observe(visit.answered - visit.started)
    if visit.received:
        meters.received.inc(visit.received)
    if visit.sent:
        meters.sent.inc(visit.sent)
    _requests(route, method, visit.status or 0).inc()
    if visit.outcome == "aborted":
        kind = _TRANSFERS.get((method, visit.action), OTHER) if visit.action else OTHER
        _ABORTED[kind].inc()


# Kept, as to find them by their labels takes longer than to count.
@cache
def _meters(route: str, method: str) -> _Meters:
    return _Meters(
        metrics.DURATION.labels(route, method),
        metrics.FIRST_BYTE.labels(route, method),
        metrics.RECEIVED.labels(route),
        metrics.SENT.labels(route),
    )


@cache
def _requests(route: str, method: str, status: int) -> Counter:
    return metrics.REQUESTS.labels(route, method, str(status))
