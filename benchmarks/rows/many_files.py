"""A folder of many small files, by MLflow's own client."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.content import WrongTransfer
from benchmarks.names import DOWNLOAD, UPLOAD, Figures
from benchmarks.peers import ROUTES, Peer, artifact_proxy, mlflow
from benchmarks.stage import Row, Stage
from tests.support.mlflow_server import mlflow_environment

_FILES = 1000
_SIZE = 10 * 1024
_LIMIT = 600


def _many_files(stage: Stage) -> None:
    """Each time by a new process, which measures itself once it has loaded the client."""
    count = stage.scaled(_FILES)
    runs = iter(range(1_000_000))

    def transfer(peer: Peer) -> Figures:
        scratch = stage.directory / f"client-{next(runs)}"
        scratch.mkdir()
        command = [sys.executable, "-m", "benchmarks.mlflow_client"]
        command += [f"{peer.server}{ROUTES}/{scratch.name}", str(count), str(_SIZE), str(scratch)]
        done = subprocess.run(
            command, env=mlflow_environment(), capture_output=True, text=True, timeout=_LIMIT
        )
        if done.returncode:
            raise WrongTransfer(done.stderr[-2000:])
        seconds = json.loads(done.stdout.splitlines()[-1])
        return {UPLOAD: seconds["upload"], DOWNLOAD: seconds["download"]}

    stage.among_peers(transfer)


_TITLE = "1 000 files of 10 KiB by MLflow's client"
_PEERS = (artifact_proxy, mlflow)
ROWS = [
    Row(
        "many-files-local", f"{_TITLE}, local root", "local", _PEERS, _many_files,
        costs=60, room=200 * 1024**2, also_on_disk=True, most_runs=3,
    ),
    Row(
        "many-files-s3", f"{_TITLE}, S3", "S3", _PEERS, _many_files, costs=115, room=1024**3, most_runs=3
    ),
]  # fmt: skip
