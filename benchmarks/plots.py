"""The results drawn, as small SVG files that can be read on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks import names
from benchmarks.names import ACCEL, ARTIFACT_PROXY, DIRECT, MLFLOW, NGINX, Figure
from benchmarks.results import Result, Series
from benchmarks.table import number

_COLOURS = {
    ARTIFACT_PROXY: "#0969da",
    ACCEL: "#54aeff",
    MLFLOW: "#d4762c",
    NGINX: "#8c959f",
    DIRECT: "#8c959f",
}
_PLACES = {names.TMPFS: "#0969da", names.DISK: "#54aeff", names.S3: "#8250df"}
_STYLE = {
    "font.size": 9,
    "svg.fonttype": "none",  # words stay words, which keeps the files small
    "svg.hashsalt": "artifact-proxy",  # the same results give the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
}


class _Bars(NamedTuple):
    rows: str
    """How the names of the rows begin."""
    figures: Sequence[Figure]
    logarithmic: bool = False


class _Curves(NamedTuple):
    rows: str
    by: str
    figures: Sequence[Figure]
    divisor: int = 1
    """How much the unit of `by` is."""


_DRAWINGS: dict[str, _Bars | _Curves] = {
    "put": _Bars("put-", [names.SPEED]),
    "get": _Bars("get-", [names.SPEED]),
    "small": _Bars("get-small-", [names.REQUESTS], logarithmic=True),
    "ranges": _Bars("ranges-", [names.REQUESTS]),
    "list": _Bars("list-", [names.TIME], logarithmic=True),
    "many-files": _Bars("many-files-", [names.UPLOAD, names.DOWNLOAD]),
    "health": _Bars("health-", [names.MEDIAN, names.P99, names.SLOWEST], logarithmic=True),
    "memory": _Bars("memory-", names.MEMORY),
    "start": _Bars("start", [names.HEALTHY, names.READY]),
    "first-byte": _Curves("first-byte", "KiB", [names.FIRST_BYTE], 1024),
    "growth-size": _Curves("growth-size-", "MiB", [names.UPLOAD, names.DOWNLOAD, names.PEAK], 1024**2),
    "growth-clients": _Curves("growth-clients-", "clients", [names.REQUESTS, names.SPEED, names.PEAK]),
    "growth-entries": _Curves("growth-entries-", "entries", [names.TIME, names.PEAK]),
}
_TIMES = (names.UPLOAD, names.DOWNLOAD, names.TIME)
"""What grows with the work, and in proportion to it if all is well."""


def draw(results: Sequence[Result], directory: Path) -> None:
    """Writes a file for each drawing of which something was measured."""
    with matplotlib.rc_context(_STYLE):
        for name, drawing in _DRAWINGS.items():
            about = [result for result in results if _is_about(drawing, result)]
            if about:
                canvas = _bars(drawing, about) if isinstance(drawing, _Bars) else _curves(drawing, about)
                canvas.savefig(directory / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})


def _is_about(drawing: _Bars | _Curves, result: Result) -> bool:
    wanted = {figure.name for figure in drawing.figures}
    return result.row.startswith(drawing.rows) and any(series.figure in wanted for series in result.series)


def _bars(drawing: _Bars, results: Sequence[Result]) -> Canvas:
    """Medians from above to below, with their ranges."""
    groups = [
        (_title(result, figure, drawing), [s for s in result.series if s.figure == figure.name])
        for result in results
        for figure in drawing.figures
    ]
    groups = [(title, series) for title, series in groups if series]
    bars = sum(len(series) for _, series in groups)
    canvas = Canvas(figsize=(7, 0.5 + 0.24 * bars + 0.22 * len(groups)), facecolor="white")
    axes = canvas.subplots()
    position, ticks = 0.0, []
    for title, series in groups:
        ticks.append((position + (len(series) - 1) / 2, title))
        for each in series:
            _bar(axes, position, each)
            position += 1
        position += 0.8
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if drawing.logarithmic:
        _make_logarithmic(axes, "x")
    axes.set_xlabel(drawing.figures[0].unit)
    handles, labels = axes.get_legend_handles_labels()
    by_peer = dict(zip(labels, handles, strict=True))
    legend = {peer: by_peer[peer] for peer in _COLOURS if peer in by_peer}
    axes.legend(legend.values(), legend, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=5, frameon=False)
    return canvas


def _bar(axes: Any, position: float, series: Series) -> None:
    low, high = series.range
    axes.barh(
        position, series.median, color=_COLOURS.get(series.peer), label=series.peer,
        xerr=[[series.median - low], [high - series.median]], error_kw={"linewidth": 0.8},
    )  # fmt: skip
    axes.annotate(f" {number(series.median)}", (high, position), va="center", fontsize=7)


def _title(result: Result, figure: Figure, drawing: _Bars) -> str:
    where = "" if result.place == names.S3 else f", {result.place}"
    what = f"\n{figure.name}" if len(drawing.figures) > 1 else ""
    return f"{result.row}{where}{what}"


def _curves(drawing: _Curves, results: Sequence[Result]) -> Canvas:
    measured = {series.figure for result in results for series in result.series}
    figures = [figure for figure in drawing.figures if figure.name in measured]
    canvas = Canvas(figsize=(max(5, 3.4 * len(figures)), 3), facecolor="white", layout="tight")
    for axes, figure in zip(canvas.subplots(1, len(figures), squeeze=False)[0], figures, strict=True):
        for result in results:
            _curve(axes, figure, result)
        axes.set_xscale("log")
        sizes = sorted({series.at for result in results for series in result.series if series.at})
        axes.set_xticks(sizes, [number(size / drawing.divisor) for size in sizes])
        if figure == names.PEAK:
            axes.set_ylim(bottom=0)
        else:
            _make_logarithmic(axes, "y")
        axes.minorticks_off()
        axes.set_title(figure.name, fontsize=9)
        axes.set_xlabel(drawing.by)
        axes.set_ylabel(figure.unit)
        axes.legend(frameon=False, fontsize=8)
    return canvas


def _curve(axes: Any, figure: Figure, result: Result) -> None:
    """One for each peer; where there is only one, it is known by its place."""
    found = [series for series in result.series if series.figure == figure.name and series.at]
    peers = list(dict.fromkeys(series.peer for series in found))
    for peer in peers:
        points = sorted((s.at or 0, s) for s in found if s.peer == peer)
        sizes = [at for at, _ in points]
        medians = [series.median for _, series in points]
        colour = _PLACES[result.place] if len(peers) == 1 else _COLOURS[peer]
        label = result.place if len(peers) == 1 else peer
        axes.fill_between(
            sizes, *zip(*(series.range for _, series in points), strict=True), color=colour, alpha=0.15, lw=0
        )
        axes.plot(sizes, medians, color=colour, marker="o", markersize=3, label=label)
        if figure in _TIMES:
            size, median = sizes[-1], medians[-1]
            axes.axline(
                (size, median), (size / 1.1, median / 1.1), color="#57606a", linestyle=":", linewidth=1
            )


def _make_logarithmic(axes: Any, which: str) -> None:
    """With plain numbers."""
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())
