"""What a user of MLflow sees when something cannot be done: a clear message, at once.

Clients repeat some statuses for four minutes, so each test counts the requests that were made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import Proxy, Setup
from tests.support.access_log import logged
from tests.support.server import Server

if TYPE_CHECKING:
    from mlflow.entities import Run


def test_the_download_of_a_missing_artifact_fails_at_once(setup: Setup, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"nope\.txt', please ensure that the path is correct"):
        setup.client().download_artifacts(run_id, "nope.txt", str(tmp_path))
    assert downloads(setup.server, f"{run_id}/artifacts/nope.txt") == [("GET", 404)]


def test_a_missing_artifact_is_named_to_who_loads_it_by_its_uri(
    setup: Setup, mlflow: Any, run_id: str
) -> None:
    uri = setup.client().get_run(run_id).info.artifact_uri
    with pytest.raises(Exception, match=r"There is no artifact .*/nope\.txt'; list its directory"):
        mlflow.artifacts.load_text(f"{uri}/nope.txt")
    assert downloads(setup.server, f"{run_id}/artifacts/nope.txt") == [("GET", 404)]


def downloads(proxy: Server, part: str) -> list[tuple[str, int]]:
    """Requests for the artifact, without the listings that clients ask for first."""
    requests = [request for request in logged(proxy, part) if "?" not in request.target]
    return [(request.method, request.status) for request in requests]


def test_an_upload_below_a_file_fails_at_once(setup: Setup, run_id: str) -> None:
    client = setup.client()
    client.log_text(run_id, "a file", "taken")
    with pytest.raises(Exception, match="a parent of it is a file"):
        client.log_text(run_id, "below it", "taken/below.txt")
    requests = logged(setup.server, f"{run_id}/artifacts/taken/below.txt")
    assert [(request.method, request.status) for request in requests] == [("PUT", 409)]


@pytest.fixture
def recorded_run(http_setup: Setup, read_only: Proxy, uri_form: str, folder: str) -> Run:
    """A run below `read_only`, which is another proxy than that of the tracking server's default."""
    client = http_setup.client()
    location = f"{read_only.uri(uri_form)}/{folder}"
    return client.create_run(client.create_experiment(folder, artifact_location=location))


def test_an_upload_to_a_read_only_proxy_fails_at_once(
    http_setup: Setup, read_only: Proxy, recorded_run: Run, folder: str
) -> None:
    with pytest.raises(Exception, match="read-only"):
        http_setup.client().log_text(recorded_run.info.run_id, "refused", "a.txt")
    requests = logged(read_only.server, f"{recorded_run.info.run_id}/artifacts/a.txt")
    assert [(request.method, request.status) for request in requests] == [("PUT", 403)]
    assert read_only.root.tree(folder) == {}


def test_a_read_only_proxy_still_lists_and_gives(
    http_setup: Setup, read_only: Proxy, recorded_run: Run, folder: str, tmp_path: Path
) -> None:
    client, run_id = http_setup.client(), recorded_run.info.run_id
    read_only.root.put(f"{folder}/{run_id}/artifacts/a.txt", b"put there by others")
    assert [info.path for info in client.list_artifacts(run_id)] == ["a.txt"]
    fetched = client.download_artifacts(run_id, "a.txt", str(tmp_path))
    assert Path(fetched).read_text() == "put there by others"
