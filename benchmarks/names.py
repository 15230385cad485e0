"""What the results call the peers, the places and the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

ARTIFACT_PROXY = "artifact-proxy"
ACCEL = "artifact-proxy behind nginx"
MLFLOW = "MLflow"
NGINX = "nginx"
DIRECT = "direct"
LIMITS = (NGINX, DIRECT)
"""Peers that do nothing but to move the bytes."""

TMPFS = "tmpfs"
DISK = "disk"
S3 = "S3"


class Figure(NamedTuple):
    name: str
    unit: str


Figures: TypeAlias = Mapping[Figure, float]
ArchiveKind: TypeAlias = Literal["tar", "zip"]


class ArchiveFigures(NamedTuple):
    """What is measured of archives of one kind."""

    speed: Figure
    """Of what is in them."""
    artifacts: Figure
    first_byte: Figure
    peak: Figure
    """Of a worker's memory."""


def _of(kind: ArchiveKind) -> ArchiveFigures:
    return ArchiveFigures(
        Figure(f"{kind}, speed", "MB/s"),
        Figure(f"{kind}, artifacts", "1/s"),
        Figure(f"{kind}, first byte", "ms"),
        Figure(f"{kind}, peak memory of a worker", "MiB above idle"),
    )


SPEED = Figure("speed", "MB/s")
FIRST_BYTE = Figure("first byte", "ms")
REQUESTS = Figure("requests", "1/s")
MEDIAN = Figure("median", "ms")
P99 = Figure("99th percentile", "ms")
SLOWEST = Figure("slowest", "ms")
TIME = Figure("time", "s")
UPLOAD = Figure("upload", "s")
DOWNLOAD = Figure("download", "s")
HEALTHY = Figure("/health is 200", "s")
READY = Figure("/ready is 200", "s")
PEAK = Figure("peak memory of a worker", "MiB")
UPLOADS_OF_1_GIB = Figure("32 uploads of 1 GiB", "MiB above idle")
DOWNLOADS_OF_1_GIB = Figure("32 downloads of 1 GiB", "MiB above idle")
BOTH_OF_1_GIB = Figure("16 of each of 1 GiB", "MiB above idle")
UPLOADS_OF_10_GIB = Figure("32 uploads of 10 GiB", "MiB above idle")
DOWNLOADS_OF_10_GIB = Figure("32 downloads of 10 GiB", "MiB above idle")
BOTH_OF_10_GIB = Figure("16 of each of 10 GiB", "MiB above idle")
SLOW_UPLOADS = Figure("256 uploads that stall", "MiB above idle")
SLOW_DOWNLOADS = Figure("256 downloads that stall", "MiB above idle")
MEMORY = (
    UPLOADS_OF_1_GIB, DOWNLOADS_OF_1_GIB, BOTH_OF_1_GIB,
    UPLOADS_OF_10_GIB, DOWNLOADS_OF_10_GIB, BOTH_OF_10_GIB,
)  # fmt: skip
"""What the target of memory is about."""
ARCHIVES: Mapping[ArchiveKind, ArchiveFigures] = {"tar": _of("tar"), "zip": _of("zip")}
