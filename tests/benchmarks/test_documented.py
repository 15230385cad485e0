"""What docs/performance.md shows is what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import results, table
from benchmarks.command import places
from benchmarks.names import ARCHIVES, ARTIFACT_PROXY, ArchiveKind, Figure
from benchmarks.rows import ROWS

DOCS = Path(__file__).parents[2] / "docs"
PUBLISHED = DOCS / "performance"


@pytest.fixture(scope="module")
def measured() -> list[results.Result]:
    return list(results.load(PUBLISHED / "results.json"))


@pytest.fixture(scope="module")
def text() -> str:
    return (DOCS / "performance.md").read_text()


def test_every_row_was_measured_at_full_size_and_nothing_was_wrong(measured: list[results.Result]) -> None:
    assert {result.row for result in measured} == set(ROWS)
    for row in ("put-local", "get-local"):
        assert [result.place for result in measured if result.row == row] == list(places(ROWS[row], ()))
    assert not [result.row for result in measured if result.rehearsal or result.wrong]


def test_the_tables_are_those_of_the_results(measured: list[results.Result], text: str) -> None:
    assert (PUBLISHED / "table.md").read_text() == table.markdown(measured)
    assert table.short(measured) in text
    assert "not measured" not in table.short(measured)


@pytest.mark.parametrize("method", ["get", "put"])
@pytest.mark.parametrize("kind", list(ARCHIVES))
def test_the_figures_of_archives_are_those_of_the_results(
    kind: ArchiveKind, method: str, measured: list[results.Result], text: str
) -> None:
    rows = {result.row: result for result in measured}
    figures = ARCHIVES[kind]

    def of(size: str, figure: Figure) -> str:
        series = rows[f"archive-{method}-{size}"].find(figure.name, ARTIFACT_PROXY)
        assert series is not None
        return f"{table.number(series.median)} {figure.unit.removesuffix(' above idle')}"

    speeds = (
        f"{of('many', figures.artifacts).removesuffix(' 1/s')} artifacts a second",
        of("large", figures.speed),
    )
    waits = f"{of('many', figures.first_byte)}, {of('large', figures.first_byte)} " if method == "get" else ""
    peaks = f"{of('many', figures.peak)}, {of('large', figures.peak)}"
    assert f"| {method.upper()}, {kind} | {' | '.join(speeds)} | {waits}| {peaks} |" in text


def test_each_target_that_is_not_met_is_explained(measured: list[results.Result], text: str) -> None:
    explained = text.partition("## What is not met\n")[2]
    missed = [line for line in table.short(measured).splitlines() if "**no**" in line]
    assert [
        line for line in missed if f"**{line.split(' | ')[0].removeprefix('| ')}**" not in explained
    ] == []


def test_all_plots_are_shown(text: str) -> None:
    plots = [plot.name for plot in PUBLISHED.glob("*.svg")]
    assert plots
    assert [plot for plot in plots if f"performance/{plot})" not in text] == []
