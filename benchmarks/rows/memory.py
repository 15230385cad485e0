"""How much memory a worker needs beyond what it has idle, while many large transfers run at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from benchmarks import names, rss
from benchmarks.load import Method, Transfer, run
from benchmarks.names import ARTIFACT_PROXY, Figure
from benchmarks.peers import WORKERS, Peer, artifact_proxy
from benchmarks.roots import LocalRoot, check
from benchmarks.stage import CLIENTS, Row, Stage

_MIB = 1024**2
_GIB = 1024**3
_TRANSFERS = 32
_SECONDS_LOCAL = 5
_SECONDS_S3 = 12
"""After which clients leave: what a transfer needs, it needs soon."""
_SLOW = 256
_SLOW_BYTES = 16 * _MIB  # more than the kernel keeps for one connection
_STALL_SECONDS = 5
_WARMING = 32
_LIMIT = 300
_PHASES = (
    (1, names.UPLOADS_OF_1_GIB, names.DOWNLOADS_OF_1_GIB, names.BOTH_OF_1_GIB),
    (10, names.UPLOADS_OF_10_GIB, names.DOWNLOADS_OF_10_GIB, names.BOTH_OF_10_GIB),
)


def idle(workers: Sequence[int], warm_up: Callable[[httpx.Client], None]) -> int:
    """The most bytes that one of the workers has in memory when each has loaded what `warm_up` asks for."""
    assert len(workers) == WORKERS, "the one that keeps them running needs little, whatever they need"
    # Which worker answers is up to the kernel, anew for each connection.
    with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        for _ in range(_WARMING):
            warm_up(client)
    return max(map(rss.resident, workers))


class _Measurement:
    """Phases against one server, all compared with what it had in memory before the first."""

    def __init__(self, stage: Stage, peer: Peer) -> None:
        self._stage = stage
        self._peer = peer
        self._workers = rss.workers(peer.process)
        self._idle = idle(self._workers, self._warm_up)

    def _warm_up(self, client: httpx.Client) -> None:
        url = self._peer.url("warm-up")
        client.put(url, content=b"1").raise_for_status()
        client.get(url).raise_for_status()
        client.delete(url).raise_for_status()

    def large(self, size: int, uploads: Figure, downloads: Figure, both: Figure) -> None:
        self._stage.root.store("large", size, 0)
        each = _TRANSFERS // 2
        self._phase(uploads, self._uploads(size, _TRANSFERS))
        self._phase(downloads, self._downloads(size, _TRANSFERS))
        self._phase(both, self._uploads(size, each) + self._downloads(size, each))
        self._stage.root.remove("large")

    def slow(self) -> None:
        """Clients that pause in the middle, all at the same time."""
        size = self._stage.scaled(_SLOW_BYTES)
        count = self._stage.scaled(_SLOW)
        stall = self._stage.seconds(_STALL_SECONDS)
        self._stage.root.store("large", size, 0)
        self._phase(names.SLOW_UPLOADS, self._uploads(size, count, stall))
        self._phase(names.SLOW_DOWNLOADS, self._downloads(size, count, stall))

    def _uploads(self, size: int, count: int, stall: float = 0) -> list[Transfer]:
        """Each of another artifact, which is not there afterwards where the client left before its end."""
        return [self._transfer("PUT", f"upload-{n}", size, n, stall) for n in range(count)]

    def _downloads(self, size: int, count: int, stall: float = 0) -> list[Transfer]:
        return [self._transfer("GET", "large", size, 0, stall) for _ in range(count)]

    def _transfer(self, method: Method, name: str, size: int, content: int, stall: float) -> Transfer:
        local = isinstance(self._stage.root, LocalRoot)
        break_off = stall + self._stage.seconds(_SECONDS_LOCAL if local else _SECONDS_S3)
        return Transfer(method, self._peer.url(name), size, content, stall, break_off, _LIMIT)

    def _phase(self, figure: Figure, transfers: list[Transfer]) -> None:
        with rss.watched(self._workers) as peak:
            outcomes = run(self._stage.clients, CLIENTS, transfers, _LIMIT)
        self._stage.result.add(figure, ARTIFACT_PROXY, (peak.bytes - self._idle) / _MIB)
        moved = sum(outcome.bytes for outcome in outcomes)
        complete = 0
        for transfer, outcome in zip(transfers, outcomes, strict=True):
            if outcome.error:
                self._stage.fail(outcome.error)
            elif outcome.bytes == transfer.size:
                complete += 1
                if transfer.method == "PUT":
                    self._check(transfer)
        self._stage.result.notes.append(
            f"{figure.name}: {moved / _GIB:.3g} GiB moved, {complete} of {len(transfers)} complete when the "
            f"clients left after {transfers[0].break_off:.3g} s; {self._idle / _MIB:.0f} MiB idle"
        )

    def _check(self, upload: Transfer) -> None:
        """Compares what is stored behind the server's back, and removes it."""
        name = upload.url.rpartition("/")[2]
        check(self._stage.root, name, upload.size, upload.content)
        self._stage.root.remove(name)


def _memory(stage: Stage) -> None:
    (peer,) = stage.peers
    measurement = _Measurement(stage, peer)
    for gibibytes, uploads, downloads, both in _PHASES:
        measurement.large(stage.scaled(gibibytes * _GIB), uploads, downloads, both)
    measurement.slow()


_TITLE = "peak memory of a worker"
ROWS = [
    Row(
        "memory-local", f"{_TITLE}, local root", "local", (artifact_proxy,), _memory,
        costs=70, room=17 * _GIB, most_runs=1,
    ),
    Row(
        "memory-s3", f"{_TITLE}, S3", "S3", (artifact_proxy,), _memory,
        costs=180, room=25 * _GIB, most_runs=1,
    ),
]  # fmt: skip
