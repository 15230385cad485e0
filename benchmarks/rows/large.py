"""One large artifact, up and down."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from benchmarks.content import pieces
from benchmarks.load import Transfer, run_one
from benchmarks.names import DIRECT, FIRST_BYTE, SPEED, Figures
from benchmarks.peers import Peer, artifact_proxy, behind_nginx, direct, mlflow, nginx
from benchmarks.roots import S3Root, check
from benchmarks.stage import Row, Stage
from tests.support.object_store import ObjectStore

GIB = 1024**3
_NAME = "large"
_CONTENT = 1


def _put(stage: Stage) -> None:
    """Each time a new artifact; what is stored is compared behind the server's back, and removed."""
    size = stage.scaled(GIB)
    file = stage.directory / "upload"
    if isinstance(stage.root, S3Root):
        with file.open("wb") as written:
            written.writelines(pieces(size, _CONTENT))

    def upload(peer: Peer) -> Figures:
        if peer.name == DIRECT:
            seconds = _upload_directly(stage, file)
        else:
            seconds = run_one(stage.clients, Transfer("PUT", peer.url(_NAME), size, _CONTENT)).seconds
        check(stage.root, _NAME, size, _CONTENT)
        stage.root.remove(_NAME)
        return {SPEED: size / seconds / 1e6}

    stage.among_peers(upload)


def _upload_directly(stage: Stage, file: Path) -> float:
    assert isinstance(stage.root, S3Root)
    store = replace(stage.root.object_store, process=None)  # which is all that other processes need to know
    return stage.clients.apply(_upload_file, (store, file, stage.root.bucket, stage.root.key(_NAME)))


def _upload_file(store: ObjectStore, file: Path, bucket: str, key: str) -> float:
    """Seconds that boto3 takes."""
    with closing(store.client()) as client:
        started = time.monotonic()
        client.upload_file(str(file), bucket, key)
        return time.monotonic() - started


def _get(stage: Stage) -> None:
    size = stage.scaled(GIB)
    stage.root.store(_NAME, size, _CONTENT)

    def download(peer: Peer) -> Figures:
        outcome = run_one(stage.clients, Transfer("GET", peer.url(_NAME), size, _CONTENT))
        return {SPEED: size / outcome.seconds / 1e6, FIRST_BYTE: outcome.waited * 1000}

    stage.among_peers(download)


def _first_byte(stage: Stage) -> None:
    """By size; the client leaves when it has come."""
    for full in (4 * 1024, 1024**2, 64 * 1024**2, GIB):
        size = full if full == 4 * 1024 else stage.scaled(full)
        stage.root.store(_NAME, size, _CONTENT)

        def download(peer: Peer, size: int = size) -> Figures:
            transfer = Transfer("GET", peer.url(_NAME), size, _CONTENT, break_off=0)
            return {FIRST_BYTE: run_one(stage.clients, transfer).waited * 1000}

        stage.among_peers(download, at=size)


ROWS = [
    Row(
        "put-local", "PUT 1 GiB, local root", "local", (artifact_proxy, mlflow, nginx), _put,
        costs=35, room=2 * GIB, also_on_disk=True,
    ),
    Row(
        "get-local", "GET 1 GiB, local root", "local", (artifact_proxy, mlflow, nginx), _get,
        costs=30, room=GIB, also_on_disk=True,
    ),
    Row(
        "get-local-nginx", "GET 1 GiB, local root, files sent by nginx", "local", (behind_nginx, nginx), _get,
        costs=10, room=GIB,
    ),
    Row(
        "put-s3", "PUT 1 GiB, S3", "S3", (artifact_proxy, mlflow, direct), _put,
        costs=165, room=20 * GIB,
    ),
    Row("get-s3", "GET 1 GiB, S3", "S3", (artifact_proxy, mlflow, direct), _get, costs=30, room=2 * GIB),
    Row(
        "first-byte", "GET, S3, until the first byte", "S3", (artifact_proxy, direct), _first_byte,
        costs=10, room=3 * GIB,
    ),
]  # fmt: skip
