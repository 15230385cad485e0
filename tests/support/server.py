"""A real artifact-proxy process on a free port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

START_SECONDS = 60
_LISTENS = re.compile(r"serves \S+ at (http://\S+)")


@dataclass(frozen=True)
class Address:
    """Where clients find artifact-proxy: the server itself, or a proxy before it."""

    url: str
    """With the static prefix, without a final slash."""

    @property
    def native(self) -> str:
        return f"{self.url}/v1/artifacts"

    @property
    def mlflow(self) -> str:
        return f"{self.url}/api/2.0/mlflow-artifacts"


@dataclass(frozen=True)
class Server(Address):
    artifact_root: Path | str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def root(self) -> Path:
        """The directory of a local root."""
        assert isinstance(self.artifact_root, Path), f"{self.artifact_root} is no directory"
        return self.artifact_root

    @property
    def staging(self) -> Path:
        return self.root / ".artifact-proxy" / "staging"

    def log(self) -> str:
        return self.log_file.read_text()

    def staged(self) -> list[str]:
        """The names of uploads that are not finished."""
        return sorted(os.listdir(self.staging)) if self.staging.exists() else []

    def tree(self) -> dict[str, bytes]:
        """Every file that clients can have put there, read behind the server's back."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and ".artifact-proxy" not in path.relative_to(self.root).parts
        }


@contextmanager
def running(
    root: Path | str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    log_file: Path | None = None,
    open_files: int | None = None,
) -> Iterator[Server]:
    """Starts the command over `root` and stops it in the end; it is ready inside the block.

    It may have `open_files` at once; None for as many as this process. A root that is a URL needs a
    `log_file`; beside a directory there is a place for one.
    """
    if log_file is None:
        assert isinstance(root, Path), f"there is no place for a log file beside {root}"
        log_file = root.with_name(root.name + ".log")
    with log_file.open("wb") as log:
        process = start(root, *arguments, environment=environment, log=log, open_files=open_files)
    try:
        url = _wait_until_ready(process, log_file)
        yield Server(url, root, process, log_file)
    finally:
        stop(process)


def start(
    root: Path | str,
    *arguments: str,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
    open_files: int | None = None,
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app", "--default-artifact-root", str(root), "--port", "0", *arguments]
    if open_files is not None:
        command = ["prlimit", f"--nofile={open_files}", *command]
    return subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, env=clean_environment() | dict(environment or {})
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the server and of MLflow, and without credentials."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ARTIFACT_PROXY_", "MLFLOW_", "AWS_")) and name != "FORWARDED_ALLOW_IPS"
    }


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the process as an operator would, and for good if that does not help."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _wait_until_ready(process: subprocess.Popen[bytes], log_file: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = _LISTENS.search(log_file.read_text())
        if found:
            try:
                httpx.get(f"{found[1]}/health").raise_for_status()
                return found[1]
            except httpx.TransportError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"The server did not start:\n{log_file.read_text()}")
