"""How soon a server that was just started answers."""

from __future__ import annotations

import time
from http.client import HTTPConnection, HTTPException

from benchmarks.content import WrongTransfer
from benchmarks.names import ARTIFACT_PROXY, HEALTHY, MLFLOW, READY, Figures
from benchmarks.peers import WORKERS, start_mlflow
from benchmarks.stage import Row, Stage
from tests.support import server
from tests.support.mlflow_server import stop_group
from tests.support.ports import free_ports

_LIMIT = 90
_PAUSE = 0.005


def _start(stage: Stage) -> None:
    """Each time another process, whose files the kernel has in memory."""

    def artifact_proxy() -> Figures:
        (port,) = free_ports(1)
        arguments = ("--workers", str(WORKERS), "--port", str(port))
        with (stage.directory / "artifact-proxy.log").open("wb") as log:
            started = time.monotonic()
            process = server.start(stage.root.url, *arguments, log=log, environment=stage.root.environment)
        try:
            return {HEALTHY: _answered(port, "/health", started), READY: _answered(port, "/ready", started)}
        finally:
            server.stop(process)

    def mlflow() -> Figures:
        (port,) = free_ports(1)
        with (stage.directory / "mlflow.log").open("wb") as log:
            started = time.monotonic()
            process = start_mlflow(stage.root, port, stage.directory, log)
        try:
            return {HEALTHY: _answered(port, "/health", started)}
        finally:
            process.terminate()
            stop_group(process)

    stage.alternate({ARTIFACT_PROXY: artifact_proxy, MLFLOW: mlflow})


def _answered(port: int, path: str, started: float) -> float:
    """Seconds from then on until the answer was 200."""
    while (passed := time.monotonic() - started) < _LIMIT:
        connection = HTTPConnection("127.0.0.1", port, timeout=_LIMIT)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return time.monotonic() - started
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(_PAUSE)
    raise WrongTransfer(f"{path} was not answered within {passed:.0f} s")


ROWS = [Row("start", "start of a server with 2 workers", "local", (), _start, costs=45, room=0)]
