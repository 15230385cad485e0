"""Small artifacts, over and over."""

from __future__ import annotations

from benchmarks.keepalive import Question, ask
from benchmarks.names import Figures
from benchmarks.peers import Peer, artifact_proxy, direct, mlflow, nginx
from benchmarks.stage import Row, Stage

_SIZE = 4096
_CONNECTIONS = 16
_SECONDS = 3
_NAME = "small"


def _get(stage: Stage) -> None:
    stage.root.store(_NAME, _SIZE, 1)

    def download(peer: Peer) -> Figures:
        question = Question(peer.url(_NAME), _SIZE, 1)
        return ask(stage.clients, question, _CONNECTIONS, stage.seconds(_SECONDS)).figures()

    stage.among_peers(download)


ROWS = [
    Row(
        "get-small-local", "GET 4 KiB, local root, 16 connections", "local",
        (artifact_proxy, mlflow, nginx), _get, costs=65, room=0,
    ),
    Row(
        "get-small-s3", "GET 4 KiB, S3, 16 connections", "S3",
        (artifact_proxy, mlflow, direct), _get, costs=65, room=0,
    ),
]  # fmt: skip
