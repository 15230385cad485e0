"""Files that nginx itself sends: to the client they are artifacts like all others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from artifact_proxy import Client
from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import running_replicas

CONTENT = os.urandom(300_000)


def test_a_file_that_nginx_sends_is_taken_for_an_artifact(
    nginx_installed: None, start_nginx: Callable[..., Nginx], tmp_path: Path, place: Path
) -> None:
    root = tmp_path / "root"
    with running_replicas(root, tmp_path, "--accel-redirect", "/_files") as replicas:
        nginx = start_nginx(*replicas.urls, ARTIFACT_ROOT=str(root))
        with Client(nginx.url) as client:
            stored = client.put_bytes(CONTENT, "d/a")
            assert client.get("d/a", "copy", verify=True).etag == stored.etag
            assert client.stat("d/a").size == len(CONTENT)
            with client.open("d/a") as file:
                file.seek(-10, os.SEEK_END)
                assert file.read() == CONTENT[-10:]
    assert (place / "copy").read_bytes() == CONTENT
