"""The set-up to recommend: runs record the URL of the shipped nginx configuration before two replicas."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.behind_nginx import Deployment, over_tls, recommended
from tests.e2e.client_promises import ClientPromises, TransferPromises
from tests.support.nginx_fixtures import PREFIX
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority


@pytest.fixture(scope="module")
def deployment(
    nginx_installed: None,
    object_store: ObjectStore,
    authority: PrivateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    with recommended(object_store, tmp_path_factory.mktemp("recommended"), authority) as started:
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
        client.get(f"{deployment.tracking.url}/get-artifact", params=params).raise_for_status()
        asked = [(each.method, each.status) for each in deployment.requests(f"{run_id}/artifacts/shown.txt")]
        assert sorted(asked) == [("GET", 200), ("PUT", 200)]


class TestClientsOverTls(TransferPromises):
    """At a sub-path, and with a certificate of an authority that only those trust who are told to."""

    @pytest.fixture(scope="class")
    @classmethod
    def deployment(
        cls, deployment: Deployment, authority: PrivateAuthority, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Deployment]:
        with over_tls(deployment, tmp_path_factory.mktemp("tls") / "nginx", authority) as started:
            yield started

    def test_runs_record_where_nginx_is(self, deployment: Deployment, run_id: str) -> None:
        recorded = deployment.client().get_run(run_id).info.artifact_uri
        assert recorded.startswith("https://127.0.0.1:")
        assert f"{PREFIX}/api/2.0/mlflow-artifacts/artifacts/" in recorded

    def test_clients_that_trust_by_the_variable_of_mlflow_are_served(
        self, deployment: Deployment, run_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        client = deployment.client()
        monkeypatch.setenv(
            "MLFLOW_TRACKING_SERVER_CERT_PATH", deployment.client_environment["REQUESTS_CA_BUNDLE"]
        )
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        client.log_text(run_id, "trusted", "a.txt")
        fetched = client.download_artifacts(run_id, "a.txt", str(tmp_path))
        assert Path(fetched).read_text() == "trusted"

    def test_clients_that_do_not_trust_the_authority_send_nothing(
        self, deployment: Deployment, run_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            deployment.client().log_text(run_id, "secret", "a.txt")
        assert deployment.requests(run_id) == []

    def test_all_others_trust_by_the_variable_of_openssl(
        self, deployment: Deployment, run_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deployment.client().log_text(run_id, "read", "a b.txt")
        monkeypatch.setenv("SSL_CERT_FILE", deployment.client_environment["REQUESTS_CA_BUNDLE"])
        uri = deployment.client().get_run(run_id).info.artifact_uri
        path = uri.removeprefix(f"{deployment.root_uri}/")
        with httpx.Client(verify=ssl.create_default_context()) as others:
            answer = others.get(f"{deployment.nginx.tls_url}/v1/artifacts/{path}/a b.txt")
        assert (answer.status_code, answer.text) == (200, "read")
