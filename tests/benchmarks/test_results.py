"""What was measured is kept row by row, judged by its medians, and told in a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import results, table
from benchmarks.names import ACCEL, ARTIFACT_PROXY, DIRECT, DISK, MLFLOW, NGINX, S3, SPEED, TIME, TMPFS
from benchmarks.results import Result
from benchmarks.targets import TARGETS, Target, targets_for

MADE_WITH = {
    "date": "2030-01-02 03:04+00:00",
    "machine": "two cores",
    "scale": "1",
    "file system": "tmpfs",
    "runs": "5",
}


def result(row: str = "get-local", place: str = TMPFS, /, **speeds: list[float]) -> Result:
    """With speeds of artifact-proxy (`own`) and of others."""
    made = Result(row, place, f"about {row}", MADE_WITH)
    peers = {"own": ARTIFACT_PROXY, "mlflow": MLFLOW, "nginx": NGINX, "direct": DIRECT, "accel": ACCEL}
    for name, values in speeds.items():
        for value in values:
            made.add(SPEED, peers[name], value)
    return made


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    kept = [result(own=[1, 2.5]), result("list-s3-10000", S3)]
    kept[0].add(TIME, MLFLOW, 3, at=10)
    kept[1].wrong.append("other bytes")
    kept[1].notes.append("a note")
    results.save(kept, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == kept
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_before_the_first_row_there_is_nothing(tmp_path: Path) -> None:
    assert results.load(tmp_path / "results.json") == []


def test_a_row_that_is_repeated_takes_the_place_of_the_old_one_and_of_no_other() -> None:
    order = ["put-local", "get-local", "get-s3"]
    kept = [result("get-local", DISK, own=[1]), result("get-s3", S3, own=[2])]
    kept = results.merge(kept, result("get-local", TMPFS, own=[3]), order)
    kept = results.merge(kept, result("put-local", TMPFS, own=[4]), order)
    kept = results.merge(kept, result("get-local", DISK, own=[5]), order)
    assert [(each.row, each.place, each.series[0].values) for each in kept] == [
        ("put-local", TMPFS, [4]),
        ("get-local", TMPFS, [3]),
        ("get-local", DISK, [5]),
        ("get-s3", S3, [2]),
    ]


def test_a_series_has_its_median_and_range() -> None:
    series = result(own=[5, 1, 9, 2]).series[0]
    assert (series.median, series.range) == (3.5, (1, 9))


@pytest.mark.parametrize(
    ("target", "speeds", "met"),
    [
        (Target("get-local", "speed", "at least", 0.8, NGINX), {"own": [80], "nginx": [100]}, True),
        (Target("get-local", "speed", "at least", 0.8, NGINX), {"own": [79], "nginx": [100]}, False),
        (Target("get-local", "speed", "at least", 3, MLFLOW), {"own": [1, 30, 31], "mlflow": [10]}, True),
        (Target("get-local", "speed", "at most", 0.5, MLFLOW), {"own": [5], "mlflow": [10]}, True),
        (Target("get-local", "speed", "at most", 0.5, MLFLOW), {"own": [6], "mlflow": [10]}, False),
        (Target("get-local", "speed", "at most", 50), {"own": [50]}, True),
        (Target("get-local", "speed", "at most", 50), {"own": [51]}, False),
        (Target("get-local", "speed", "at least", 0.9, NGINX, ACCEL), {"accel": [9], "nginx": [10]}, True),
        (Target("get-local", "speed", "at least", 0.8, NGINX), {"own": [80]}, None),
        (Target("get-local", "speed", "at least", 0.8, NGINX), {"nginx": [80]}, None),
    ],
)
def test_a_target_is_judged_by_medians(
    target: Target, speeds: dict[str, list[float]], met: bool | None
) -> None:
    assert target.met(result(**speeds)) is met


def test_neither_a_disk_nor_a_rehearsal_is_judged() -> None:
    targets = [str(target) for target in targets_for(result())]
    assert targets == ["at least 0.8 of nginx", "at least 8 of MLflow"]
    assert targets_for(result("get-local", DISK)) == []
    rehearsal = result()
    rehearsal.made_with = {**MADE_WITH, "scale": "0.01"}
    assert targets_for(rehearsal) == []


def test_every_target_is_about_something_that_is_measured() -> None:
    from benchmarks.rows import ROWS

    assert {target.row for target in TARGETS} <= ROWS.keys()


def test_the_table_has_medians_ranges_ratios_and_targets() -> None:
    made = result(own=[900, 1000, 1100], mlflow=[100], nginx=[2000, 2001, 2002])
    lines = table.markdown([made]).splitlines()
    assert lines[2] == (
        "| about get-local | tmpfs | speed | 1000 MB/s (900-1100) | 100 MB/s | 2001 MB/s (2000-2002) nginx "
        "| 10 | 0.5 | at least 0.8 of nginx, at least 8 of MLflow | **no**, yes |"
    )


def test_the_table_tells_what_was_wrong_and_what_it_was_made_with() -> None:
    made = result(own=[1])
    made.wrong.append("MLflow: other bytes")
    text = table.markdown([made, result("get-s3", S3, own=[1])])
    rows = "get-local (tmpfs, 5 runs), get-s3 (S3 tmpfs, 5 runs)"
    assert "- **wrong**: get-local, tmpfs: MLflow: other bytes" in text
    assert f"Made with 2030-01-02; machine two cores; scale 1: {rows}." in text


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.5, "1.5"), (99.96, "100"), (1234.5, "1234"), (0, "0")]
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert table.number(value) == text
