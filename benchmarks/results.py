"""What was measured, as it is kept in results.json."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.names import DISK, S3, TMPFS, Figure


@dataclass
class Series:
    """One figure of one peer, once for each run."""

    figure: str
    unit: str
    peer: str
    at: int | None
    """Of what growth is measured by: a size, or how many; None elsewhere."""
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def range(self) -> tuple[float, float]:
        return min(self.values), max(self.values)


@dataclass
class Result:
    """What a row gave in one place."""

    row: str
    place: str
    title: str
    made_with: Mapping[str, str]
    series: list[Series] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Transfers that were not what they should be."""
    seconds: int = 0
    """How long all of it took."""

    @property
    def rehearsal(self) -> bool:
        """Whether it was measured with other sizes than the row is about."""
        return self.made_with.get("scale", "1") != "1"

    def add(self, figure: Figure, peer: str, value: float, at: int | None = None) -> None:
        found = self.find(figure.name, peer, at)
        if found is None:
            found = Series(figure.name, figure.unit, peer, at)
            self.series.append(found)
        found.values.append(value)

    def find(self, figure: str, peer: str, at: int | None = None) -> Series | None:
        for series in self.series:
            if (series.figure, series.peer, series.at) == (figure, peer, at):
                return series
        return None


def load(file: Path) -> list[Result]:
    """What the file has; nothing if there is none."""
    if not file.exists():
        return []
    return [_result(document) for document in json.loads(file.read_text())]


def merge(kept: Sequence[Result], new: Result, order: Sequence[str]) -> list[Result]:
    """`new` in the place of what the same row gave before; rows in this order."""
    others = [result for result in kept if (result.row, result.place) != (new.row, new.place)]
    known = {name: number for number, name in enumerate(order)}
    places = [TMPFS, DISK, S3]
    return sorted(
        [*others, new],
        key=lambda result: (known.get(result.row, len(known)), places.index(result.place)),
    )


def save(results: Iterable[Result], file: Path) -> None:
    """Replaces the file at once, so that an interrupted program leaves the old one."""
    written = file.with_suffix(".new")
    written.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    written.replace(file)


def _result(document: Mapping[str, Any]) -> Result:
    return Result(**dict(document, series=[Series(**series) for series in document["series"]]))
