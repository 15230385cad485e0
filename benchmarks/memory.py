"""How much memory a worker needs beyond what it has idle, while many large transfers run at once.

    python -m benchmarks.memory --size 1GiB --transfers 32
    python -m benchmarks.memory --s3      with the artifacts in a SeaweedFS of its own

The transfers use the native routes under /v1/artifacts; MLflow's share all the code below them.
Server and clients run on this machine, so the MB/s are of both together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import httpx
from botocore.exceptions import BotoCoreError

from benchmarks import load, rss
from benchmarks.load import Transfer
from benchmarks.machine import machine, versions
from tests.support.object_store import seaweedfs
from tests.support.server import Server, running

MIB = 1024 * 1024
_UNITS = {"": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}
_LOAD_PROCESSES = 8
_SLOW_BYTES = 16 * MIB  # more than the kernel keeps for one connection
_COLUMNS = "{:<16}{:>10}{:>8}{:>9}{:>10}{:>7}{:>10}{:>10}{:>17}{:>11}"
_HEADINGS = (
    "phase", "transfers", "GiB", "seconds", "together", "MB/s",
    "idle MiB", "peak MiB", "above idle MiB", "after MiB",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    phase: str
    transfers: int
    bytes: int
    seconds: float
    together: float
    """Seconds in which every one of the transfers was running."""
    idle: int
    peak: int
    after: int
    """Resident bytes of the largest worker: before all phases, at most in this one, at its end."""
    errors: list[str]

    def row(self) -> str:
        sizes = (self.idle, self.peak, self.peak - self.idle, self.after)
        return _COLUMNS.format(
            self.phase,
            self.transfers,
            f"{self.bytes / 1024**3:.1f}",
            f"{self.seconds:.1f}",
            f"{self.together:.1f}",
            f"{self.bytes / self.seconds / 1e6:.0f}",
            *(f"{size / MIB:.1f}" for size in sizes),
        )


Behind: TypeAlias = Callable[[str], AbstractContextManager[Any]]
"""Opens an artifact, as a `load.Stored`, behind the server's back."""


class Root(NamedTuple):
    url: str
    environment: Mapping[str, str]
    behind: Behind


@contextmanager
def _local(directory: Path) -> Iterator[Root]:
    root = directory / "root"
    yield Root(str(root), {}, lambda name: (root / name).open("rb"))


@contextmanager
def _s3(directory: Path) -> Iterator[Root]:
    with seaweedfs(directory / "seaweedfs") as store:
        bucket = store.make_bucket()
        client = store.client()

        def behind(name: str) -> AbstractContextManager[Any]:
            return closing(client.get_object(Bucket=bucket, Key=f"root/{name}")["Body"])

        yield Root(f"s3://{bucket}/root", store.environment(), behind)


class Measurement:
    """Phases against one server, all compared with what it had in memory before the first."""

    def __init__(self, server: Server, behind: Behind, pool: Pool, limit: float) -> None:
        self._server = server
        self._behind = behind
        self._pool = pool
        self._limit = limit
        self._workers = rss.workers(server.process.pid)
        self._warm_up()
        self._idle = max(map(rss.resident, self._workers))
        self.results: list[Result] = []

    def _warm_up(self) -> None:
        """Lets each worker load what the first requests load; which one answers is up to the kernel."""
        url = f"{self._server.native}/warm-up"
        for _ in range(8 * len(self._workers)):
            httpx.put(url, content=b"1").raise_for_status()
            httpx.get(url).raise_for_status()
            httpx.delete(url).raise_for_status()

    def large(self, count: int, size: int) -> None:
        """Uploads, downloads, and half of each; removes what it stored."""
        half = count // 2
        self._phase("uploads", [self._transfer("PUT", number, size) for number in range(count)])
        self._phase("downloads", [self._transfer("GET", number, size) for number in range(count)])
        self._delete(range(half, count))
        downloads = [self._transfer("GET", number, size) for number in range(half)]
        uploads = [self._transfer("PUT", number, size) for number in range(half, count)]
        self._phase("mixed", downloads + uploads)
        self._delete(range(count))

    def slow(self, count: int, stall: float) -> None:
        """Clients that pause in the middle, all at the same time."""
        uploads = [self._transfer("PUT", number, _SLOW_BYTES, stall) for number in range(count)]
        self._phase("slow uploads", uploads)
        downloads = [self._transfer("GET", number, _SLOW_BYTES, stall) for number in range(count)]
        self._phase("slow downloads", downloads)
        more = [self._transfer("PUT", number, _SLOW_BYTES, stall) for number in range(count, 2 * count)]
        self._phase("slow, each way", downloads + more)

    def _transfer(self, method: load.Method, number: int, size: int, stall: float = 0) -> Transfer:
        return Transfer(method, f"{self._server.native}/{number}", size, number, stall, self._limit)

    def _delete(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            httpx.delete(f"{self._server.native}/{number}", timeout=self._limit).raise_for_status()

    def _phase(self, name: str, transfers: Sequence[Transfer]) -> None:
        with rss.watched(self._workers) as peak:
            outcomes = load.run(self._pool, _LOAD_PROCESSES, transfers, self._limit)
            after = max(map(rss.resident, self._workers))
        started, ended = [outcome.started for outcome in outcomes], [outcome.ended for outcome in outcomes]
        result = Result(
            phase=name,
            transfers=len(transfers),
            bytes=sum(transfer.size for transfer in transfers),
            seconds=max(ended) - min(started),
            together=max(0, min(ended) - max(started)),
            idle=self._idle,
            peak=peak.bytes,
            after=after,
            errors=[outcome.error for outcome in outcomes if outcome.error] + self._wrong_file(transfers),
        )
        self.results.append(result)
        print(result.row(), *(f"  wrong: {error}" for error in result.errors), sep="\n", flush=True)

    def _wrong_file(self, transfers: Sequence[Transfer]) -> list[str]:
        """Reads one upload behind the server's back; downloads were compared as they arrived."""
        uploaded = next((transfer for transfer in transfers if transfer.method == "PUT"), None)
        if uploaded is None:
            return []
        try:
            with self._behind(str(uploaded.content)) as stored:
                load.verify(stored, uploaded.size, uploaded.content)
        except (OSError, BotoCoreError, load.WrongTransfer) as error:
            return [f"what is stored of {uploaded.url}: {error!r}"]
        return []


def main() -> int:
    arguments = _parser().parse_args()
    durability = ("--durability", arguments.durability)
    options = ("--workers", str(arguments.workers), *durability, *arguments.options)
    with tempfile.TemporaryDirectory(prefix="artifact-proxy-", dir=arguments.directory) as directory:
        # SeaweedFS gives the space of what was deleted back late.
        needed = arguments.transfers * arguments.size * (2 if arguments.s3 else 1)
        free = shutil.disk_usage(directory).free
        if needed > free:
            sys.exit(f"{directory} has {free // MIB} MiB free, but {needed // MIB} are needed.")
        notes = machine() | versions() | {"directory": directory, "server options": " ".join(options)}
        print(*(f"{name}: {value}" for name, value in notes.items()), "", sep="\n")
        print(_COLUMNS.format(*_HEADINGS), flush=True)
        with (
            load.processes(_LOAD_PROCESSES) as pool,
            _s3(Path(directory)) if arguments.s3 else _local(Path(directory)) as root,
            running(
                root.url, *options, environment=root.environment, log_file=Path(directory, "log")
            ) as server,
        ):
            try:
                measurement = Measurement(server, root.behind, pool, arguments.limit)
                if arguments.transfers:
                    measurement.large(arguments.transfers, arguments.size)
                if arguments.slow:
                    measurement.slow(arguments.slow, arguments.stall)
            except (multiprocessing.TimeoutError, httpx.HTTPError) as error:
                print(f"wrong: {error!r} (the limit is {arguments.limit:.0f} seconds for each phase)")
                return 1
    if arguments.json:
        document = {"made with": notes, "results": [asdict(result) for result in measurement.results]}
        arguments.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if any(result.errors for result in measurement.results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measures the peak memory of a worker above idle while many large transfers run at "
        "once. The status is 0, whatever was measured, unless a transfer was wrong."
    )
    parser.add_argument("--size", type=_bytes, default="1GiB", help="of each artifact (default: 1GiB)")
    parser.add_argument(
        "--transfers", type=int, default=32, help="how many at once (default: 32); 0 for none"
    )
    parser.add_argument("--slow", type=int, default=256, help="slow clients (default: 256); 0 for none")
    parser.add_argument("--stall", type=float, default=5, help="seconds that they pause (default: 5)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the server (default: 1)")
    parser.add_argument("--durability", choices=("full", "none"), default="full", help="default: full")
    parser.add_argument("--s3", action="store_true", help="artifacts are kept in a SeaweedFS of its own")
    parser.add_argument("--directory", help="where the artifact root is made (default: the temporary one)")
    parser.add_argument("--limit", type=float, default=900, help="seconds for each phase (default: 900)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument("options", nargs="*", help="more options for the server, after --")
    return parser


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)(|KiB|MiB|GiB)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 1GiB, 256MiB or 1000")
    return int(found[1]) * _UNITS[found[2]]


if __name__ == "__main__":
    sys.exit(main())
