"""The tracking server's own page reads artifacts through the proxy, in the set-up to recommend."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.conftest import Setup
from tests.support.access_log import logged


@pytest.fixture
def run(http_setup: Setup, folder: str) -> str:
    client = http_setup.client()
    created: str = client.create_run(http_setup.new_experiment(folder)).info.run_id
    client.log_text(created, "shown\n", "notes/a b.txt")
    client.log_text(created, "<p>page</p>", "notes/page.html")
    return created


@pytest.mark.parametrize("api", ["api", "ajax-api"])
def test_the_page_lists_the_artifacts_of_a_run(
    http_setup: Setup, client: httpx.Client, run: str, api: str
) -> None:
    route = f"{http_setup.tracking.url}/{api}/2.0/mlflow/artifacts/list"
    top = client.get(route, params={"run_id": run}).raise_for_status().json()
    assert top["files"] == [{"path": "notes", "is_dir": True}]
    notes = client.get(route, params={"run_id": run, "path": "notes"}).raise_for_status().json()
    assert [(file["path"], int(file["file_size"])) for file in notes["files"]] == [
        ("notes/a b.txt", 6),
        ("notes/page.html", 11),
    ]


@pytest.mark.parametrize(
    ("path", "content"), [("notes/a b.txt", b"shown\n"), ("notes/page.html", b"<p>page</p>")]
)
def test_the_page_shows_an_artifact(
    http_setup: Setup, client: httpx.Client, run: str, path: str, content: bytes
) -> None:
    answer = client.get(f"{http_setup.tracking.url}/get-artifact", params={"run_id": run, "path": path})
    assert (answer.status_code, answer.content) == (200, content)


def test_the_page_asks_for_a_missing_artifact_once(http_setup: Setup, client: httpx.Client, run: str) -> None:
    answer = client.get(f"{http_setup.tracking.url}/get-artifact", params={"run_id": run, "path": "nope"})
    assert answer.is_error
    requests = logged(http_setup.server, f"{run}/artifacts/nope")
    assert [(request.method, request.status) for request in requests] == [("GET", 404)]
