"""The set-up to recommend: runs record the URL of the shipped nginx configuration before two replicas."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.behind_nginx import Deployment, recommended
from tests.e2e.client_promises import ClientPromises
from tests.support.object_store import ObjectStore


@pytest.fixture(scope="module")
def deployment(
    nginx_installed: None, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    with recommended(object_store, tmp_path_factory.mktemp("recommended")) as started:
        yield started


class TestClients(ClientPromises):
    def test_runs_record_where_nginx_is(self, deployment: Deployment, run_id: str) -> None:
        recorded = deployment.client().get_run(run_id).info.artifact_uri
        assert recorded.startswith(f"{deployment.nginx.url}/api/2.0/mlflow-artifacts/artifacts/")

    def test_the_page_reads_through_the_replicas(
        self, deployment: Deployment, client: httpx.Client, run_id: str
    ) -> None:
        deployment.client().log_text(run_id, "shown", "shown.txt")
        params = {"run_id": run_id, "path": "shown.txt"}
        client.get(f"{deployment.tracking_url}/get-artifact", params=params).raise_for_status()
        asked = [(each.method, each.status) for each in deployment.requests(f"{run_id}/artifacts/shown.txt")]
        assert sorted(asked) == [("GET", 200), ("PUT", 200)]
