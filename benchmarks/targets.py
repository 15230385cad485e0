"""What artifact-proxy is to reach, side by side with the others in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks import names
from benchmarks.names import ACCEL, ARTIFACT_PROXY, DIRECT, DISK, MLFLOW, NGINX, Figure
from benchmarks.results import Result


@dataclass(frozen=True)
class Target:
    row: str
    figure: str
    bound: Literal["at least", "at most"]
    value: float
    of: str = ""
    """The peer of whose median the value is a multiple; none where the value stands for itself."""
    peer: str = ARTIFACT_PROXY
    unit: str = ""

    def __str__(self) -> str:
        measure = f"{self.value:.2g} of {self.of}" if self.of else f"{self.value:g} {self.unit}"
        return f"{self.bound} {measure}"

    def met(self, result: Result, at: int | None = None) -> bool | None:
        """Whether the median is within the bound; None where one of the two was not measured."""
        reached = result.find(self.figure, self.peer, at)
        measure = result.find(self.figure, self.of, at) if self.of else None
        if reached is None or (self.of and measure is None):
            return None
        bound = self.value * (measure.median if measure else 1)
        return reached.median >= bound if self.bound == "at least" else reached.median <= bound


def _at_least(row: str, figure: Figure, value: float, of: str, peer: str = ARTIFACT_PROXY) -> Target:
    return Target(row, figure.name, "at least", value, of, peer)


def _at_most(row: str, figure: Figure, value: float, of: str = "") -> Target:
    return Target(row, figure.name, "at most", value, of, unit=figure.unit)


TARGETS = (
    _at_least("put-local", names.SPEED, 0.7, NGINX),
    _at_least("put-local", names.SPEED, 3, MLFLOW),
    _at_least("get-local", names.SPEED, 0.8, NGINX),
    _at_least("get-local", names.SPEED, 8, MLFLOW),
    _at_least("get-local-nginx", names.SPEED, 0.95, NGINX, ACCEL),
    _at_least("get-small-local", names.REQUESTS, 15, MLFLOW),
    _at_least("put-s3", names.SPEED, 0.95, DIRECT),
    _at_least("get-s3", names.SPEED, 0.75, DIRECT),
    _at_most("get-s3", names.FIRST_BYTE, 3, DIRECT),
    _at_most("first-byte", names.FIRST_BYTE, 3, DIRECT),
    _at_least("get-small-s3", names.REQUESTS, 10, MLFLOW),
    _at_most("list-local-10000", names.TIME, 1 / 3, MLFLOW),
    _at_most("list-s3-10000", names.TIME, 1 / 3, MLFLOW),
    *(_at_most("memory-local", figure, 96) for figure in names.MEMORY),
    *(_at_most("memory-s3", figure, 512) for figure in names.MEMORY),
    # What the server counts for such an archive, and 8 MiB for what the allocator keeps; but for uploads of
    # many, which count half as much again, no more than what 32 transfers at once may take.
    *(_at_most("archive-get-many", figures.peak, 24) for figures in names.ARCHIVES.values()),
    *(_at_most("archive-put-many", figures.peak, 96) for figures in names.ARCHIVES.values()),
    *(_at_most("archive-get-large", figures.peak, 12) for figures in names.ARCHIVES.values()),
    *(_at_most("archive-put-large", figures.peak, 12) for figures in names.ARCHIVES.values()),
    _at_most("health-local", names.P99, 50),
    _at_most("health-s3", names.P99, 50),
    _at_most("start", names.READY, 1.5),
)


def targets_for(result: Result) -> list[Target]:
    """None on a disk, where artifact-proxy waits until uploads are safe, as nobody else does; and none
    of a rehearsal, which has other sizes."""
    if result.place == DISK or result.rehearsal:
        return []
    return [target for target in TARGETS if target.row == result.row]
