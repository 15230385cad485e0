"""What the server counts and measures, for Prometheus. No label holds a path or an identity.

With several workers each writes its values to files of a directory that they share, and the one that
is asked adds them up. The library decides by a variable, when it is imported, whether that is so; so
it is imported nowhere before this module, and the first process forgets the variable: a user's own is
for other programs. What a worker finds in it comes from the supervisor. The files have the names of
the workers, which their successors have, too, and go on counting in: so they never become more.
"""

from __future__ import annotations

import math
import os
import platform
from multiprocessing import current_process

from app import __version__

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
if current_process().name == "MainProcess":
    for _spelling in (_VARIABLE, _VARIABLE.lower()):
        os.environ.pop(_spelling, None)

from prometheus_client import (  # noqa: E402 - see above
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    exposition,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402 - see above
from prometheus_client.openmetrics import exposition as openmetrics  # noqa: E402 - see above

disable_created_metrics()  # several workers have none, and nobody asks
if _VARIABLE in os.environ:
    _name = current_process().name
    values.ValueClass = values.MultiProcessValue(lambda: _name)  # it asks before each change

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds until something is answered."""
_LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Seconds that transfers take."""

REQUESTS = Counter(
    "artifact_proxy_http_requests",
    "Requests that are over, by the template of their route; status 0 where no answer began.",
    ("route", "method", "status"),
)
DURATION = Histogram(
    "artifact_proxy_http_request_duration_seconds",
    "From a request's head to the end of its response.",
    ("route", "method"),
    buckets=_LONG,
)
FIRST_BYTE = Histogram(
    "artifact_proxy_http_time_to_first_byte_seconds",
    "From a request's head to the head of its response.",
    ("route", "method"),
    buckets=_LONG,
)
RECEIVED = Counter("artifact_proxy_http_received_bytes", "Bytes of request bodies.", ("route",))
SENT = Counter("artifact_proxy_http_sent_bytes", "Bytes of response bodies.", ("route",))

TRANSFERS = Gauge(
    "artifact_proxy_transfers_in_flight",
    "Transfers that have a place.",
    ("kind",),
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "artifact_proxy_transfers_waiting",
    "Requests that wait for a place among the transfers, or for memory.",
    multiprocess_mode="livesum",
)
SHED = Counter(
    "artifact_proxy_requests_shed",
    "Requests answered 503 because the server has too much to do.",
    ("reason",),
)
ABORTED = Counter(
    "artifact_proxy_transfers_aborted", "Transfers that ended before they were complete.", ("kind",)
)

STORAGE_CALLS = Histogram(
    "artifact_proxy_storage_call_duration_seconds",
    "Calls of the storage, by what came of them.",
    ("operation", "outcome"),
    buckets=_FAST,
)
STORAGE_RETRIES = Counter(
    "artifact_proxy_storage_retries", "Requests to the storage that were sent once more.", ("operation",)
)

READY = Gauge(
    "artifact_proxy_ready",
    "1 where the check succeeded when it was last made.",
    ("check",),
    multiprocess_mode="livemin",
)
DISK_FREE = Gauge(
    "artifact_proxy_disk_free_bytes",
    "Bytes that are free on the disk of a local root; NaN for any other.",
    multiprocess_mode="livemostrecent",
)
LOST_LINES = Counter("artifact_proxy_lost_log_lines", "Lines that no log has.", ("log",))
BUILD_INFO = Gauge(
    "artifact_proxy_build_info",
    "1; the labels tell what runs.",
    ("version", "python"),
    multiprocess_mode="livemax",
)

BUILD_INFO.labels(__version__, platform.python_version()).set(1)
if _VARIABLE not in os.environ:  # of a worker it would hide what the others know
    DISK_FREE.set(math.nan)  # else 0, which reads as a full disk


def share(directory: str) -> None:
    """Has the workers that are started from now on count in the files of a directory."""
    os.environ[_VARIABLE] = directory


def forget(worker: str) -> None:
    """To be called when a worker has died: what is true of the living only goes."""
    mark_process_dead(worker)


def exposed(accept: str) -> tuple[bytes, str]:
    """All metrics in the format that an Accept header asks for, and its media type. May read files."""
    shared = _VARIABLE in os.environ
    source = MultiProcessCollector(None) if shared else REGISTRY
    # The library's own choice fails where a version is no number.
    if "application/openmetrics-text" in accept:
        text: bytes = openmetrics.generate_latest(source)
        return text, openmetrics.CONTENT_TYPE_LATEST
    return exposition.generate_latest(source), exposition.CONTENT_TYPE_PLAIN_0_0_4
