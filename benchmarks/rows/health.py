"""How soon /health is answered while large transfers run."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

from benchmarks.content import WrongTransfer
from benchmarks.load import Transfer, run, seconds_of_all
from benchmarks.names import MEDIAN, P99, SLOWEST, SPEED, Figures
from benchmarks.peers import Peer, artifact_proxy, mlflow
from benchmarks.roots import check
from benchmarks.stage import CLIENTS, Row, Stage

_SIZE = 256 * 1024**2
_EACH = 8
_PAUSE = 0.01
_LIMIT = 300


def _health(stage: Stage) -> None:
    size = stage.scaled(_SIZE)
    for number in range(_EACH):
        stage.root.store(f"down-{number}", size, number)

    def measure(peer: Peer) -> Figures:
        downloads = [Transfer("GET", peer.url(f"down-{number}"), size, number) for number in range(_EACH)]
        uploads = [Transfer("PUT", peer.url(f"up-{number}"), size, number) for number in range(_EACH)]
        with _asked(peer.server) as latencies:
            outcomes = run(stage.clients, CLIENTS, downloads + uploads, _LIMIT)
        seconds = seconds_of_all(outcomes)
        for number in range(_EACH):
            check(stage.root, f"up-{number}", size, number)
            stage.root.remove(f"up-{number}")
        quantiles = statistics.quantiles(latencies, n=100, method="inclusive")
        return {
            MEDIAN: quantiles[49] * 1000,
            P99: quantiles[98] * 1000,
            SLOWEST: max(latencies) * 1000,
            SPEED: len(outcomes) * size / seconds / 1e6,
        }

    stage.among_peers(measure)


@contextmanager
def _asked(server: str) -> Iterator[list[float]]:
    """Asks for /health within the block; the seconds that each answer took are complete after it."""
    latencies: list[float] = []
    over = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(_ask, server, over, latencies)
        try:
            yield latencies
        finally:
            over.set()
        asking.result()


def _ask(server: str, over: threading.Event, latencies: list[float]) -> None:
    url = urlsplit(server)
    with closing(HTTPConnection(str(url.hostname), url.port, timeout=_LIMIT)) as connection:
        while not over.is_set() or len(latencies) < 2:
            started = time.perf_counter()
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            latencies.append(time.perf_counter() - started)
            if answer.status != 200:
                raise WrongTransfer(f"/health: {answer.status}")
            over.wait(_PAUSE)


_PEERS = (artifact_proxy, mlflow)
_TITLE = "/health while 8 uploads and 8 downloads of 256 MiB run"
ROWS = [
    Row("health-local", f"{_TITLE}, local root", "local", _PEERS, _health, costs=65, room=5 * 1024**3),
    Row("health-s3", f"{_TITLE}, S3", "S3", _PEERS, _health, costs=195, room=20 * 1024**3, most_runs=3),
]
