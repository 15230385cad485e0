"""What more bytes, more clients and more entries cost."""

from __future__ import annotations

from benchmarks import rss
from benchmarks.keepalive import Question, ask
from benchmarks.load import Transfer, run, run_one, seconds_of_all
from benchmarks.names import DOWNLOAD, PEAK, REQUESTS, SPEED, TIME, UPLOAD, Figures
from benchmarks.peers import Peer, artifact_proxy
from benchmarks.roots import check
from benchmarks.rows.listings import list_all, names_of
from benchmarks.stage import CLIENTS, Row, Stage

_MIB = 1024**2
_SIZES = tuple(4**power * _MIB for power in range(6))
_VERY_LARGE = 10 * 1024**3
_CLIENTS = (1, 4, 16, 64, 256)
_SHARED_BYTES = 2 * 1024**3
"""What all clients fetch together, however many there are."""
_SMALL_BYTES = 4096
_SECONDS = 2
_ENTRIES = (10, 100, 1000, 10_000, 100_000)
_LIMIT = 300


def _sizes(stage: Stage, sizes: tuple[int, ...]) -> None:
    for full in sizes:
        size = stage.scaled(full)

        def transfer(peer: Peer, size: int = size) -> Figures:
            with rss.watched(rss.workers(peer.process)) as peak:
                uploaded = run_one(stage.clients, Transfer("PUT", peer.url("a"), size, 1))
                downloaded = run_one(stage.clients, Transfer("GET", peer.url("a"), size, 1))
            check(stage.root, "a", size, 1)
            stage.root.remove("a")
            return {
                UPLOAD: uploaded.seconds,
                DOWNLOAD: downloaded.seconds,
                PEAK: peak.bytes / _MIB,
            }

        stage.among_peers(transfer, at=size)


def _sizes_local(stage: Stage) -> None:
    _sizes(stage, (*_SIZES, _VERY_LARGE))


def _sizes_s3(stage: Stage) -> None:
    """Up to 1 GiB: 10 GiB several times over would fill the disk, as the store gives room back late."""
    _sizes(stage, _SIZES)


def _clients(stage: Stage) -> None:
    stage.root.store("small", _SMALL_BYTES, 1)
    for clients in _CLIENTS:
        size = stage.scaled(_SHARED_BYTES // clients)
        stage.root.store("large", size, 1)

        def fetch(peer: Peer, clients: int = clients, size: int = size) -> Figures:
            question = Question(peer.url("small"), _SMALL_BYTES, 1)
            downloads = [Transfer("GET", peer.url("large"), size, 1)] * clients
            with rss.watched(rss.workers(peer.process)) as peak:
                answers = ask(stage.clients, question, clients, stage.seconds(_SECONDS))
                outcomes = run(stage.clients, CLIENTS, downloads, _LIMIT)
            return {
                REQUESTS: answers.per_second,
                SPEED: clients * size / seconds_of_all(outcomes) / 1e6,
                PEAK: peak.bytes / _MIB,
            }

        stage.among_peers(fetch, at=clients)


def _entries(stage: Stage) -> None:
    for full in _ENTRIES:
        names = names_of(stage.scaled(full))
        directory = f"of-{full}"
        stage.root.fill(directory, names)

        def measure(peer: Peer, directory: str = directory, names: list[str] = names) -> Figures:
            with rss.watched(rss.workers(peer.process)) as peak:
                seconds = list_all(peer, directory, names)
            return {TIME: seconds, PEAK: peak.bytes / _MIB}

        stage.among_peers(measure, at=len(names))


_PEERS = (artifact_proxy,)
ROWS = [
    Row(
        "growth-size-local", "growth by size, local root", "local", _PEERS, _sizes_local,
        costs=80, room=_VERY_LARGE, most_runs=3,
    ),
    Row(
        "growth-size-s3", "growth by size, S3", "S3", _PEERS, _sizes_s3,
        costs=60, room=8 * 1024**3, most_runs=3,
    ),
    Row(
        "growth-clients-local", "growth by clients, local root", "local", _PEERS, _clients,
        costs=60, room=_SHARED_BYTES, most_runs=3,
    ),
    Row(
        "growth-clients-s3", "growth by clients, S3", "S3", _PEERS, _clients,
        costs=100, room=3 * _SHARED_BYTES, most_runs=3,
    ),
    Row(
        "growth-entries-local", "growth by entries, local root", "local", _PEERS, _entries,
        costs=10, room=0, most_runs=3,
    ),
    Row("growth-entries-s3", "growth by entries, S3", "S3", _PEERS, _entries, costs=50, room=0, most_runs=3),
]  # fmt: skip
