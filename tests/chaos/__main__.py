"""Servers are killed at random moments, hundreds of times, and nothing that they acknowledged is lost.

    python -m tests.chaos --seconds 180
    python -m tests.chaos --root s3 --seed 7

Four servers share one root. Clients write, read, list and break off, through any of them. Meanwhile
servers are killed, ended and paused, and so is the store, whose answers come late, broken, or not at
all. After every few faults there is calm: then all that was answered must be explained by one register
for each key (see `register`), through each server and behind their backs. In the end nothing may be
left of uploads that nobody finished. The seed gives the same faults and the same requests again, but
not at the same moments. The status is 0 if all rows of "what must not be" are 0.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.report import WRONG, table
from tests.chaos.roots import LocalRoot, Root, s3_root
from tests.chaos.storm import ENDED, KILLED, PAUSED, WORKER_KILLED, storm
from tests.support.object_store import seaweedfs

ROOTS = ("local", "s3")
_WORKERS = (1, 1, 1, 2)
_FAULTS = {KILLED: 8, WORKER_KILLED: 4, ENDED: 1, PAUSED: 2}
_STORE_FAULTS = 6
"""As often as these, all together."""
_FAULTS_OF_A_ROUND = 12
_OPERATIONS_BETWEEN = 12


def main() -> int:
    arguments = _parser().parse_args()
    print(f"seed {arguments.seed}", flush=True)
    storms: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory(prefix="artifact-proxy-", dir=arguments.directory) as directory:
        for name in [arguments.root] if arguments.root else ROOTS:
            place = Path(directory, name)
            place.mkdir()
            with _root(name, place) as root:
                storms[name] = _storm(root, place, arguments.seconds, f"{arguments.seed} {name}")
    print(table(storms))
    return int(any(counts[name] for counts in storms.values() for name in WRONG))


@contextmanager
def _root(name: str, directory: Path) -> Iterator[Root]:
    if name == "local":
        yield LocalRoot(directory / "root")
    else:
        with seaweedfs(directory / "seaweedfs") as store, s3_root(store, store.make_bucket()) as root:
            yield root


def _storm(root: Root, directory: Path, seconds: float, seed: str) -> Counter[str]:
    chance = random.Random(seed)  # noqa: S311 - no secret
    weights: dict[str, float] = {**_FAULTS}
    weights |= {name: _STORE_FAULTS / len(root.faults) for name in root.faults}
    end = time.monotonic() + seconds
    with storm(root, directory, workers=_WORKERS, seed=seed) as storming:
        told = 0
        while time.monotonic() < end:
            faults = chance.choices([*weights], [*weights.values()], k=_FAULTS_OF_A_ROUND)
            storming.round(faults, _OPERATIONS_BETWEEN)
            told = _tell(storming.wrong, told)
        storming.finish()
        _tell(storming.wrong, told)
        return storming.counts


def _tell(wrong: list[str], told: int) -> int:
    print(*wrong[told:], sep="\n", end="\n" if wrong[told:] else "", flush=True)
    return len(wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Kills servers at random moments under load, and checks all that they answered.",
    )
    parser.add_argument(
        "--seconds", type=float, default=180, help="for each root (default: 180), and the time to check"
    )
    parser.add_argument(
        "--seed", default=secrets.token_hex(4), help="of all that is random (default: a new one)"
    )
    parser.add_argument("--root", choices=ROOTS, help="one of the roots (default: both)")
    parser.add_argument("--directory", help="where all is kept meanwhile (default: the system's)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
