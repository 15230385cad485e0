"""Measures artifact-proxy beside MLflow's own server, nginx, and a store without any proxy.

    python -m benchmarks --list
    python -m benchmarks get-local put-local --runs 7
    python -m benchmarks --scale 0.01 --output build/rehearsal      with small sizes
    python -m benchmarks --report-only         the table and plots of what results.json has

All peers of a row are started afresh over one root, and take turns with the same client: once for warming
up, then run after run. Downloads are compared as they arrive, and uploads are read back behind the server's
back. Local roots are on tmpfs, and on a disk as well where that makes a difference; the store is a SeaweedFS
of its own with its data on the disk. Rows are merged into results.json, from which table.md and the plots
are made. The status is 0, however fast anybody was, unless a transfer was wrong.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from multiprocessing.pool import Pool
from pathlib import Path

from benchmarks import load, machine, plots, results, table
from benchmarks.names import DISK, S3, TMPFS
from benchmarks.results import Result
from benchmarks.rows import ROWS
from benchmarks.stage import CLIENTS, FAULTS, Row, staged

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux has a tmpfs for everybody
_SPARE = 256 * 1024**2
"""Bytes that must be left free beside what a row needs."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.list:
        _print_rows()
        return 0
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        sys.exit(f"There is no row {' '.join(unknown)}; --list names them all.")
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "results.json"
    right = True
    try:
        if not options.report_only:
            right = _measure_all(options, file)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        _report(results.load(file), options.output)
    return 0 if right else 1


def _measure_all(options: argparse.Namespace, file: Path) -> bool:
    """Whether all transfers were right."""
    rows = [ROWS[name] for name in options.rows] or list(ROWS.values())
    right = True
    with load.processes(CLIENTS) as clients:
        for row in rows:
            for place in places(row, options.on):
                result = _measure(row, place, options, clients)
                results.save(results.merge(results.load(file), result, list(ROWS)), file)
                right = right and not result.wrong
    return right


def places(row: Row, chosen: Sequence[str]) -> Sequence[str]:
    """Where a row is measured, if these are chosen for what can lie on several."""
    if row.storage == "S3":
        return (S3,)
    return chosen or ((TMPFS, DISK) if row.also_on_disk else (TMPFS,))


def _measure(row: Row, place: str, options: argparse.Namespace, clients: Pool) -> Result:
    print(f"{row.name}, {place}", flush=True)
    within = SHARED_MEMORY if place == TMPFS else options.disk
    _require_room(within, round(row.room * options.scale) + _SPARE, row)
    made_with = machine.made_with() | {
        "scale": f"{options.scale:g}",
        "file system": machine.file_system(within),
        "runs": str(min(options.runs, row.most_runs)),
    }
    result = Result(row.name, place, row.title, made_with)
    started = time.monotonic()
    try:
        with staged(row, within, clients, options.runs, options.scale, result) as stage:
            row.measure(stage)
    except FAULTS as error:
        print(f"  wrong: {error!r}")
        result.wrong.append(repr(error))
    result.seconds = round(time.monotonic() - started)
    for line in table.lines(result):
        print(f"  {line}")
    print(f"  {result.seconds} s in all", flush=True)
    return result


def _require_room(directory: Path, needed: int, row: Row) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        mib = 1024**2
        sys.exit(f"{row.name}: {directory} has {free // mib} MiB free, but {needed // mib} are needed.")


def _report(measured: Sequence[Result], directory: Path) -> None:
    (directory / "table.md").write_text(table.markdown(measured))
    plots.draw(measured, directory)
    print(f"\n{table.markdown(measured)}\nThis is {directory / 'table.md'}; the plots are beside it.")


def _print_rows() -> None:
    for row in ROWS.values():
        count = len(places(row, ()))
        print(f"{row.name:<20}{count * row.costs:>5} s  {row.title}{' (tmpfs and disk)' * (count > 1)}")
    total = sum(len(places(row, ())) * row.costs for row in ROWS.values())
    print(f"{'all':<20}{total:>5} s  about, with five runs on two idle cores")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="what to measure (default: all rows)")
    parser.add_argument("--list", action="store_true", help="name the rows, and about how long they take")
    parser.add_argument(
        "--on", action="append", choices=(TMPFS, DISK),
        help="where local roots lie; may be repeated (default: both where it makes a difference, or tmpfs)",
    )  # fmt: skip
    parser.add_argument(
        "--runs", type=int, default=5, help="of each, after one that is not counted (default: 5)"
    )
    parser.add_argument(
        "--scale", type=float, default=1, help="of sizes, counts and seconds; below 1 it is a rehearsal"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), metavar="DIR",
        help="where results.json, table.md and the plots go (default: build/bench)",
    )  # fmt: skip
    parser.add_argument(
        "--disk", type=Path, default=Path("/var/tmp"), metavar="DIR",  # noqa: S108 - by convention, no tmpfs
        help="where roots on a disk lie, and the data of the store (default: /var/tmp)",
    )  # fmt: skip
    parser.add_argument(
        "--report-only", action="store_true", help="measure nothing; make the table and plots"
    )
    return parser
