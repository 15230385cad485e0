"""The results as a table of Markdown, and in short as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.names import ACCEL, ARTIFACT_PROXY, LIMITS, MLFLOW
from benchmarks.results import Result, Series
from benchmarks.targets import Target, targets_for

_HEADINGS = (
    "work", "on", "figure", "artifact-proxy", "MLflow", "limit", "of MLflow", "of the limit", "target", "met",
)  # fmt: skip
_MET = {True: "yes", False: "**no**", None: "not measured"}


@dataclass(frozen=True)
class _Line:
    """One figure, at one point where it grows, with all peers side by side."""

    result: Result
    figure: str
    at: int | None

    def cells(self) -> Sequence[str]:
        own, others, limit = self._of(ARTIFACT_PROXY, ACCEL), self._of(MLFLOW), self._of(*LIMITS)
        targets = self.targets()
        return (
            self.result.title,
            self.result.place,
            self.name(),
            measured(own),
            measured(others),
            measured(limit) + (f" {limit.peer}" if limit else ""),
            ratio(own, others),
            ratio(own, limit),
            ", ".join(map(str, targets)),
            ", ".join(_MET[target.met(self.result, self.at)] for target in targets),
        )

    def name(self) -> str:
        return self.figure if self.at is None else f"{self.figure}, {amount(self.result.row, self.at)}"

    def words(self) -> str:
        """For a terminal."""
        peers = [
            f"{series.peer} {measured(series)}" for series in self.result.series if self._is_about(series)
        ]
        judged = [f"{target}: {_MET[target.met(self.result, self.at)]}" for target in self.targets()]
        return f"{self.name()}: {'; '.join(peers)}" + "".join(f" [{words}]" for words in judged)

    def targets(self) -> list[Target]:
        return [target for target in targets_for(self.result) if target.figure == self.figure]

    def _of(self, *peers: str) -> Series | None:
        return next((s for s in self.result.series if self._is_about(s) and s.peer in peers), None)

    def _is_about(self, series: Series) -> bool:
        return (series.figure, series.at) == (self.figure, self.at)


def markdown(results: Sequence[Result]) -> str:
    """The table of all, then what is to be said of single rows, then what it was made with."""
    table = [_HEADINGS, ["---"] * len(_HEADINGS)]
    table += [line.cells() for result in results for line in _lines(result)]
    said = [f"- {result.row}, {result.place}: {note}" for result in results for note in result.notes]
    wrong = [f"- **wrong**: {result.row}, {result.place}: {w}" for result in results for w in result.wrong]
    paragraphs = (_rows(table), "\n".join(wrong + said))
    return "\n\n".join(filter(None, (*paragraphs, *_made_with(results)))) + "\n"


def short(results: Sequence[Result]) -> str:
    """The lines of the table for which there is a target."""
    table = [_HEADINGS, ["---"] * len(_HEADINGS)]
    table += [line.cells() for result in results for line in _lines(result) if line.targets()]
    return _rows(table)


def lines(result: Result) -> list[str]:
    return [line.words() for line in _lines(result)]


def measured(series: Series | None) -> str:
    """The median, and the range where there were several runs."""
    if series is None:
        return ""
    low, high = series.range
    spread = f" ({number(low)}-{number(high)})" if len(series.values) > 1 else ""
    return f"{number(series.median)} {series.unit}{spread}"


def ratio(own: Series | None, other: Series | None) -> str:
    return number(own.median / other.median) if own and other and other.median else ""


def number(value: float) -> str:
    """To three digits, and without an exponent."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def amount(row: str, at: int) -> str:
    """What growth is measured by: a size, or how many."""
    if not row.startswith(("growth-size", "first-byte")):
        return f"{at:,}".replace(",", " ")
    for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if at >= size:
            return f"{at / size:.3g} {unit}"
    return f"{at} bytes"


def _rows(table: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _lines(result: Result) -> list[_Line]:
    """Figure by figure, each in the order in which it was measured."""
    figures = list(dict.fromkeys(series.figure for series in result.series))
    found = dict.fromkeys((series.figure, series.at) for series in result.series)
    return [_Line(result, *each) for each in sorted(found, key=lambda each: figures.index(each[0]))]


def _made_with(results: Sequence[Result]) -> Iterator[str]:
    """Each set of conditions once, with the rows that were measured under it."""
    rows: dict[str, list[str]] = {}
    for result in results:
        conditions = dict(result.made_with)
        day = conditions.pop("date").partition(" ")[0]
        runs = f"{conditions.pop('runs')} runs"
        where = " ".join(dict.fromkeys([result.place, conditions.pop("file system")]))
        said = "; ".join([day, *(f"{name} {value}" for name, value in conditions.items())])
        rows.setdefault(said, []).append(f"{result.row} ({where}, {runs})")
    for said, names in rows.items():
        yield f"Made with {said}: {', '.join(names)}."
