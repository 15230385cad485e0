"""How long the first byte of a download from S3 takes, by the artifact's size, with and without the server.

    python -m benchmarks.first_byte

The store is a SeaweedFS of its own; "direct" is a presigned URL of it. Nothing else is measured.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx

from benchmarks.machine import machine, versions
from tests.support.object_store import seaweedfs
from tests.support.server import running

MIB = 1024 * 1024
_SIZES = (4 * 1024, MIB, 64 * MIB, 1024 * MIB)
_LINE = "{:>14}{:>10}{:>24}{:>24}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the time to the first byte of downloads from S3.")
    parser.add_argument("--runs", type=int, default=15, help="of each, after one that is not counted")
    parser.add_argument("--directory", help="where the store keeps its data (default: the temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artifact-proxy-", dir=arguments.directory) as directory:
        print(*(f"{name}: {value}" for name, value in (machine() | versions()).items()), "", sep="\n")
        _measure(Path(directory), arguments.runs)


def _measure(directory: Path, runs: int) -> None:
    print(_LINE.format("size", "runs", "server ms", "direct ms"), flush=True)
    with seaweedfs(directory / "seaweedfs") as store:
        root = f"s3://{store.make_bucket()}/root"
        environment = store.environment()
        log_file = directory / "log"
        with (
            running(root, "--presign", environment=environment, log_file=log_file) as server,
            httpx.Client(timeout=600) as client,
        ):
            for size in _SIZES:
                url = f"{server.native}/{size}"
                client.put(
                    url, content=_zeros(size), headers={"Content-Length": str(size)}
                ).raise_for_status()
                through, direct = [], []
                for _ in range(runs + 1):
                    through.append(_first_byte(client, url))
                    presigned = client.get(f"{server.mlflow}/presigned/{size}").json()["url"]
                    direct.append(_first_byte(client, presigned))
                print(_LINE.format(size, runs, _summary(through[1:]), _summary(direct[1:])), flush=True)


def _first_byte(client: httpx.Client, url: str) -> float:
    """Milliseconds. The rest is not read, so the connection is another one each time."""
    started = time.perf_counter()
    with client.stream("GET", url) as response:
        response.raise_for_status()
        next(response.iter_raw(1))
        return (time.perf_counter() - started) * 1000


def _zeros(size: int) -> Iterator[bytes]:
    for position in range(0, size, MIB):
        yield bytes(min(MIB, size - position))


def _summary(times: Sequence[float]) -> str:
    return f"{statistics.median(times):.1f} ({min(times):.1f}-{max(times):.1f})"


if __name__ == "__main__":
    main()
