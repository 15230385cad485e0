"""`make bench` at a size at which it takes seconds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path

import pytest

from benchmarks import command, load, results
from benchmarks.command import SHARED_MEMORY
from benchmarks.content import WrongTransfer
from benchmarks.names import ARCHIVES, ARTIFACT_PROXY, NGINX, TIME, Figures
from benchmarks.rows import ROWS
from benchmarks.stage import Row, Stage

BENCHMARKS = [sys.executable, "-m", "benchmarks", "--scale", "0.001", "--runs", "1"]


def made_on_tmpfs() -> set[Path]:
    return set(SHARED_MEMORY.glob("artifact-proxy-bench-*"))


def test_a_rehearsal_measures_right_transfers_and_leaves_nothing(
    need: Callable[[str], str], tmp_path: Path
) -> None:
    need("nginx")
    before = made_on_tmpfs()
    done = subprocess.run(
        [*BENCHMARKS, "ranges-local", "growth-size-local", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ranges, growth = results.load(tmp_path / "results.json")
    assert (ranges.wrong, growth.wrong) == ([], [])
    assert {series.peer for series in ranges.series} == {ARTIFACT_PROXY, NGINX}
    assert {series.at for series in growth.series if series.figure == "upload"} == {
        round(size * 0.001) for size in (*(4**n * 1024**2 for n in range(6)), 10 * 1024**3)
    }
    assert all(series.median > 0 for series in ranges.series + growth.series)
    table = (tmp_path / "table.md").read_text()
    assert "ranges of 1 MiB" in table
    assert {file.name for file in tmp_path.glob("*.svg")} == {"ranges.svg", "growth-size.svg"}
    assert made_on_tmpfs() <= before


def test_a_rehearsal_moves_archives_of_both_kinds_both_ways(tmp_path: Path) -> None:
    rows = [name for name in ROWS if name.startswith("archive-")]
    done = subprocess.run(
        [*BENCHMARKS, *rows, "--output", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = {result.row: result for result in results.load(tmp_path / "results.json")}
    assert list(measured) == rows
    for name, result in measured.items():
        assert result.wrong == []
        for figures in ARCHIVES.values():
            wanted = {figures.artifacts if name.endswith("-many") else figures.speed}
            if name.startswith("archive-get-"):
                wanted.add(figures.first_byte)
            found = {series.figure: series.median for series in result.series}
            assert all(found[figure.name] > 0 for figure in wanted)
            assert figures.peak.name in found


def row(measure: Callable[[Stage], None], room: int = 0) -> Row:
    return Row("invented", "invented", "local", (), measure, costs=0, room=room)


def lying(stage: Stage) -> None:
    def lie() -> Figures:
        raise WrongTransfer("other bytes")

    stage.alternate({"liar": lie, "honest": lambda: {TIME: 1}})


@pytest.fixture
def measure_invented(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Row], int]:
    """Runs the command for a row that is made up, with clients that are threads."""

    @contextmanager
    def threads(_: int) -> Iterator[Pool]:
        with ThreadPool(1) as pool:
            yield pool

    def measure(invented: Row) -> int:
        monkeypatch.setitem(ROWS, invented.name, invented)
        return command.main([invented.name, "--runs", "2", "--output", str(tmp_path)])

    monkeypatch.setattr(load, "processes", threads)
    return measure


def test_a_wrong_transfer_is_told_and_makes_the_status_1(
    measure_invented: Callable[[Row], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure_invented(row(lying)) == 1
    (kept,) = results.load(tmp_path / "results.json")
    assert kept.wrong == ["liar: WrongTransfer('other bytes')"]
    assert [(series.peer, series.values) for series in kept.series] == [("honest", [1, 1])]
    assert "wrong: liar" in capsys.readouterr().out
    assert "**wrong**: invented" in (tmp_path / "table.md").read_text()


def test_peers_take_turns_after_one_turn_that_is_not_counted(
    measure_invented: Callable[[Row], int], tmp_path: Path
) -> None:
    turns: list[str] = []

    def take_turn(name: str) -> Figures:
        turns.append(name)
        return {TIME: len(turns)}

    def measure(stage: Stage) -> None:
        stage.alternate({name: partial(take_turn, name) for name in ("a", "b")})

    assert measure_invented(row(measure)) == 0
    assert turns == ["a", "b"] * 3
    (kept,) = results.load(tmp_path / "results.json")
    assert [(series.peer, series.values) for series in kept.series] == [("a", [3, 5]), ("b", [4, 6])]


def test_without_enough_room_nothing_is_measured(measure_invented: Callable[[Row], int]) -> None:
    with pytest.raises(SystemExit, match=r"has \d+ MiB free, but \d+ are needed"):
        measure_invented(row(lying, room=2**60))


def test_a_row_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no row get-lokal"):
        command.main(["get-lokal", "--output", str(tmp_path)])
