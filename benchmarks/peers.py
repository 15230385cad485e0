"""Those that are compared: artifact-proxy, and whoever else does the same work over the same root."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

import httpx

from benchmarks.names import ACCEL, ARTIFACT_PROXY, DIRECT, MLFLOW, NGINX, ArchiveKind
from benchmarks.roots import LocalRoot, Root, S3Root
from tests.support.mlflow_server import START_SECONDS, mlflow_command, mlflow_environment, stop_group
from tests.support.nginx import running_nginx, started
from tests.support.ports import free_ports
from tests.support.server import running
from tests.support.waiting import comes_true

WORKERS = 2
ROUTES = "/api/2.0/mlflow-artifacts/artifacts"
"""Those of MLflow, which artifact-proxy has as well."""
_NGINX_CONFIGURATION = """
worker_processes {workers};
pid {directory}/pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_max_body_size 0;
    client_body_temp_path {temporary};
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        location / {{
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Peer:
    name: str
    url: Callable[[str], str]
    """Where an artifact is fetched from, and sent to."""
    server: str = ""
    """The address, without a final slash."""
    process: int = 0
    """The first one of the server."""

    def listing(self, directory: str) -> str:
        return f"{self.server}{ROUTES}?path={directory}"

    def folder(self, directory: str, kind: ArchiveKind) -> str:
        """All of it as one archive, which no other peer has."""
        return f"{self.server}/v1/artifacts/{directory}/?archive={kind}"


Start: TypeAlias = Callable[[Root, Path], AbstractContextManager[Peer]]
"""Starts a peer over a root; what it writes besides goes to the directory, which is its own."""


@contextmanager
def artifact_proxy(root: Root, directory: Path) -> Iterator[Peer]:
    with _running_artifact_proxy(root, directory) as peer:
        yield peer


@contextmanager
def behind_nginx(root: Root, directory: Path) -> Iterator[Peer]:
    """artifact-proxy behind the shipped configuration, with files sent by nginx."""
    assert isinstance(root, LocalRoot)
    with (
        _running_artifact_proxy(root, directory, "--accel-redirect", "/_files") as server,
        running_nginx(directory / "nginx", [server.server], ARTIFACT_ROOT=root.url) as nginx,
    ):
        yield Peer(ACCEL, lambda name: f"{nginx.mlflow}/artifacts/{name}", nginx.url, nginx.process.pid)


@contextmanager
def mlflow(root: Root, directory: Path) -> Iterator[Peer]:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    log_file = directory / "log"
    with log_file.open("wb") as log:
        process = start_mlflow(root, port, directory, log)
    try:
        up = comes_true(lambda: _answers(f"{url}/health"), START_SECONDS)
        assert up, f"MLflow did not start:\n{log_file.read_text()}"
        yield Peer(MLFLOW, lambda name: f"{url}{ROUTES}/{name}", url, process.pid)
    finally:
        process.terminate()
        stop_group(process)


def start_mlflow(root: Root, port: int, directory: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """The first process of a group of which nothing may be left in the end."""
    options = {"artifacts-destination": root.url, "workers": WORKERS, "port": port}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        mlflow_command("server", "--artifacts-only", *arguments),
        stdout=log,
        stderr=subprocess.STDOUT,
        env=mlflow_environment() | dict(root.environment),
        cwd=directory,
        start_new_session=True,
    )


@contextmanager
def nginx(root: Root, directory: Path) -> Iterator[Peer]:
    """With dav, which does no more with a file than to write or to send it."""
    assert isinstance(root, LocalRoot)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _NGINX_CONFIGURATION.format(
            workers=WORKERS,
            directory=directory,
            temporary=root.directory.with_name("nginx-temporary"),
            root=root.directory,
            port=port,
        )
    )
    with started(configuration, url, directory / "log") as process:
        yield Peer(NGINX, lambda name: f"{url}/{name}", url, process.pid)


@contextmanager
def direct(root: Root, directory: Path) -> Iterator[Peer]:
    """The store itself, without any proxy."""
    assert isinstance(root, S3Root)
    yield Peer(DIRECT, root.presigned)


@contextmanager
def _running_artifact_proxy(root: Root, directory: Path, *options: str) -> Iterator[Peer]:
    arguments = ("--workers", str(WORKERS), *options)
    log_file = directory / "log"
    with running(root.url, *arguments, environment=root.environment, log_file=log_file) as server:
        process = server.process.pid
        yield Peer(ARTIFACT_PROXY, lambda name: f"{server.url}{ROUTES}/{name}", server.url, process)


def _answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True
