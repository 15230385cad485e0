"""What docs/performance.md shows is what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import results, table
from benchmarks.command import places
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
