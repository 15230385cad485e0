"""What a row's measurement has around it: a root, peers over it, clients, and where its figures go."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Literal

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.content import WrongTransfer
from benchmarks.names import Figures
from benchmarks.peers import Peer, Start
from benchmarks.results import Result
from benchmarks.roots import LocalRoot, Root, s3_root

CLIENTS = 4
"""Processes of clients."""
FAULTS = (
    WrongTransfer,
    OSError,
    LookupError,
    ValueError,
    HTTPException,
    httpx.HTTPError,
    BotoCoreError,
    ClientError,
    multiprocessing.TimeoutError,
    subprocess.TimeoutExpired,
    AssertionError,
)
"""How a peer can fail, at its start or in its work."""


@dataclass
class Stage:
    root: Root
    peers: Sequence[Peer]
    clients: Pool
    directory: Path
    """Of its own, on the file system of the root, or beside the store's."""
    runs: int
    scale: float
    result: Result

    def scaled(self, full: int) -> int:
        """A size or a count that is `full` except in a rehearsal."""
        return max(1, round(full * self.scale))

    def seconds(self, full: float) -> float:
        """How long to measure, likewise."""
        return max(0.2, full * min(1, self.scale))

    def among_peers(self, measure: Callable[[Peer], Figures], at: int | None = None) -> None:
        self.alternate({peer.name: partial(measure, peer) for peer in self.peers}, at)

    def alternate(self, contenders: Mapping[str, Callable[[], Figures]], at: int | None = None) -> None:
        """Has each do its work once for warming up; then run after run, one after the other.

        Whoever fails, or has no answer in time, is out, and that is kept.
        """
        left = dict(contenders)
        where = "" if at is None else f", at {at}"
        for run in range(self.runs + 1):
            for name in list(left):
                try:
                    figures = left[name]()
                except TimeoutError:
                    del left[name]
                    self.result.notes.append(f"{name}{where}: no answer in time")
                except FAULTS as error:
                    del left[name]
                    self.fail(f"{name}{where}: {error!r}")
                else:
                    for figure, value in figures.items() if run else ():
                        self.result.add(figure, name, value, at)

    def fail(self, words: str) -> None:
        print(f"  wrong: {words}", flush=True)
        self.result.wrong.append(words)


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    storage: Literal["local", "S3"]
    peers: tuple[Start, ...]
    measure: Callable[[Stage], None]
    costs: int
    """Seconds, about, in each place: on two idle cores, with five runs."""
    room: int
    """Bytes that it needs there."""
    also_on_disk: bool = False
    """Whether a disk makes a difference."""
    most_runs: int = 100


@contextmanager
def staged(row: Row, within: Path, clients: Pool, runs: int, scale: float, result: Result) -> Iterator[Stage]:
    """Starts all that the row needs, with its data below `within`; nothing of it is left after the block."""
    with ExitStack() as stack:
        made = tempfile.mkdtemp(prefix="artifact-proxy-bench-", dir=within)
        stack.callback(shutil.rmtree, made)
        directory = Path(made)
        root: Root
        if row.storage == "local":
            root = LocalRoot(directory / "root")
        else:
            root = stack.enter_context(s3_root(directory / "store"))
        peers = []
        for start in row.peers:
            own = directory / start.__name__
            own.mkdir()
            peers.append(stack.enter_context(start(root, own)))
        yield Stage(root, peers, clients, directory, min(runs, row.most_runs), scale, result)
