"""A mebibyte here and there of a very large artifact."""

from __future__ import annotations

from benchmarks.keepalive import Question, ask
from benchmarks.names import Figures
from benchmarks.peers import Peer, artifact_proxy, direct, nginx
from benchmarks.stage import Row, Stage

_SIZE = 10 * 1024**3
_RANGE = 1024**2
_CONNECTIONS = 4
_SECONDS = 3
_NAME = "large"


def _ranges(stage: Stage) -> None:
    """MLflow's server has no ranges."""
    size = max(stage.scaled(_SIZE), 2 * _RANGE)
    stage.root.store(_NAME, size, 1)

    def read(peer: Peer) -> Figures:
        question = Question(peer.url(_NAME), size, 1, range_bytes=_RANGE)
        return ask(stage.clients, question, _CONNECTIONS, stage.seconds(_SECONDS)).figures()

    stage.among_peers(read)


_TITLE = "ranges of 1 MiB at random of 10 GiB, 4 connections"
ROWS = [
    Row(
        "ranges-local", f"{_TITLE}, local root", "local", (artifact_proxy, nginx), _ranges,
        costs=55, room=_SIZE,
    ),
    Row("ranges-s3", f"{_TITLE}, S3", "S3", (artifact_proxy, direct), _ranges, costs=155, room=_SIZE),
]  # fmt: skip
