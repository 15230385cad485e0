"""A real MLflow tracking server, set up as a user of artifact-proxy sets it up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from tests.support.server import clean_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

START_SECONDS = 90  # it takes 5 on an idle machine
STOP_SECONDS = 30
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Eight more processes, which have nothing to do with artifacts.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
_OTHER_PROXIES = {"MLFLOW_ALLOWED_HOST_ADDRESSED_ARTIFACT_SCHEMES": "http,https,mlflow-artifacts"}
"""Lets experiments lie at other proxies than the one of the default artifact root."""
_LEFT_OUT = ("AWS_", "AZURE_", "GOOGLE_", "BOTO_", "S3_", "COVERAGE_")
"""Of storage; and MLflow has no code whose coverage we look at, which would make it slow."""
_RUNS = re.compile(r"Uvicorn running on (http://\S+)")


@dataclass(frozen=True)
class TrackingServer:
    url: str
    """With the static prefix, without a final slash."""
    database: str
    """The URI of the backend store."""
    default_artifact_root: str
    """As it was told, or else what it then takes."""
    directory: Path
    """Where it runs."""

    def log(self) -> str:
        """What it says of itself, and one line for each request."""
        return _log_file(self.directory).read_text()

    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.url)

    def new_experiment(self, name: str, root_uri: str) -> str:
        """The id of a new experiment below `root_uri`; where it is there anyway, it gets no own location."""
        told = self.default_artifact_root.rstrip("/") == root_uri
        location = None if told else f"{root_uri}/{name}"
        created: str = self.client().create_experiment(name, artifact_location=location)
        return created


def mlflow_environment() -> dict[str, str]:
    """This process's environment with no setting of MLflow and nothing about storage."""
    kept = {name: value for name, value in clean_environment().items() if not name.startswith(_LEFT_OUT)}
    return kept | QUIET


@contextmanager
def running_tracking_server(
    directory: Path,
    default_artifact_root: str = "mlflow-artifacts:/",
    *,
    artifacts_destination: str | None = None,
    static_prefix: str = "",
    environment: Mapping[str, str] | None = None,
) -> Iterator[TrackingServer]:
    """Starts `mlflow server` with a new database in `directory`; it is ready inside the block.

    It leaves artifacts to whoever is at `default_artifact_root`, or else serves by itself what is at
    `artifacts_destination`. What it needs for either is in its `environment`.
    """
    directory.mkdir(parents=True)
    database = f"sqlite:///{directory}/mlflow.db"
    log_file = _log_file(directory)
    arguments = ["--backend-store-uri", database, "--port", "0", "--workers", "1"]
    if static_prefix:
        arguments += ["--static-prefix", static_prefix]
    if artifacts_destination:
        arguments += ["--serve-artifacts", "--artifacts-destination", artifacts_destination]
    else:
        arguments += ["--no-serve-artifacts", "--default-artifact-root", default_artifact_root]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            mlflow_command("server", *arguments),
            stdout=log,
            stderr=subprocess.STDOUT,
            env=mlflow_environment() | _OTHER_PROXIES | dict(environment or {}),
            cwd=directory,
            start_new_session=True,
        )
    try:
        url = _wait_for_address(process, log_file) + static_prefix
        httpx.get(f"{url}/health", timeout=START_SECONDS).raise_for_status()
        yield TrackingServer(url, database, default_artifact_root, directory)
    finally:
        process.terminate()
        stop_group(process)


def mlflow_command(*arguments: str) -> list[str]:
    """The command line of `mlflow`, from the environment that runs the tests."""
    return [sys.executable, "-m", "mlflow", *arguments]


def _log_file(directory: Path) -> Path:
    return directory / "mlflow.log"


def _wait_for_address(process: subprocess.Popen[bytes], log_file: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = _RUNS.search(log_file.read_text())
        if found:
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"The tracking server did not start:\n{log_file.read_text()}")


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """Waits until the first process of a group has ended, and then ends whatever is left of the group."""
    try:
        process.wait(STOP_SECONDS)
    finally:
        with suppress(ProcessLookupError):  # nothing is left, as it should be
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
