"""A drawing is made of whatever rows there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import plots
from benchmarks.names import ARTIFACT_PROXY, MLFLOW, PEAK, REQUESTS, S3, SPEED, TIME, TMPFS, Figure
from benchmarks.results import Result


def result(row: str, place: str, *figures: Figure, at: int | None = None) -> Result:
    made = Result(row, place, row, {})
    for figure in figures:
        for peer in (ARTIFACT_PROXY, MLFLOW):
            for value in (1, 2, 4):
                made.add(figure, peer, value, at)
    return made


@pytest.mark.parametrize(
    ("results", "drawn"),
    [
        ([], set()),
        ([result("get-s3", S3)], set()),
        ([result("get-small-local", TMPFS, REQUESTS)], {"small.svg"}),
        ([result("get-s3", S3, SPEED), result("get-small-s3", S3, REQUESTS)], {"get.svg", "small.svg"}),
        ([result("growth-entries-s3", S3, TIME, PEAK, at=10)], {"growth-entries.svg"}),
        ([result("growth-entries-s3", S3, TIME, at=10)], {"growth-entries.svg"}),
    ],
)
def test_only_what_was_measured_is_drawn(tmp_path: Path, results: list[Result], drawn: set[str]) -> None:
    plots.draw(results, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == drawn


def test_the_same_results_give_the_same_file_on_white(tmp_path: Path) -> None:
    written = []
    for _ in range(2):
        plots.draw([result("get-s3", S3, SPEED)], tmp_path)
        written.append((tmp_path / "get.svg").read_text())
    assert written[0] == written[1]
    assert "fill: #ffffff" in written[0]
    assert ">artifact-proxy</text>" in written[0]
