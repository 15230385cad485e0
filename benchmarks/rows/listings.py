"""Directories with many entries, by MLflow's route, which has no pages."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from urllib.parse import urlsplit

from benchmarks.content import WrongTransfer
from benchmarks.names import TIME, Figures
from benchmarks.peers import Peer, artifact_proxy, mlflow
from benchmarks.stage import Row, Stage

_LIMIT = 300
"""Seconds for an answer."""


def list_all(peer: Peer, directory: str, names: list[str]) -> float:
    """Seconds until the whole answer is there; raises `WrongTransfer` unless it has just these names."""
    url = urlsplit(peer.listing(directory))
    with closing(http.client.HTTPConnection(str(url.hostname), url.port, timeout=_LIMIT)) as connection:
        started = time.perf_counter()
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        body = answer.read()
        seconds = time.perf_counter() - started
    if answer.status != 200:
        raise WrongTransfer(f"{answer.status} {body[:300]!r}")
    listed = [file["path"].rpartition("/")[2] for file in json.loads(body)["files"]]
    if sorted(listed) != names:
        raise WrongTransfer(f"{len(listed)} of {len(names)} entries were listed, or others")
    return seconds


def names_of(count: int) -> list[str]:
    return [f"{number:06}" for number in range(count)]


def _list(stage: Stage, full: int) -> None:
    names = names_of(stage.scaled(full))
    stage.root.fill("entries", names)

    def measure(peer: Peer) -> Figures:
        return {TIME: list_all(peer, "entries", names)}

    stage.among_peers(measure)


def _list_10000(stage: Stage) -> None:
    _list(stage, 10_000)


def _list_100000(stage: Stage) -> None:
    _list(stage, 100_000)


_PEERS = (artifact_proxy, mlflow)
ROWS = [
    Row(
        "list-local-10000", "list 10 000 entries, local root", "local", _PEERS, _list_10000,
        costs=10, room=0,
    ),
    Row(
        "list-local-100000", "list 100 000 entries, local root", "local", _PEERS, _list_100000,
        costs=25, room=0,
    ),
    Row("list-s3-10000", "list 10 000 entries, S3", "S3", _PEERS, _list_10000, costs=15, room=0),
    Row(
        "list-s3-100000", "list 100 000 entries, S3", "S3", _PEERS, _list_100000,
        costs=90, room=0, most_runs=3,
    ),
]  # fmt: skip
