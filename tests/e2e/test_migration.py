"""The way to migrate: nginx takes the artifacts of an existing MLflow server over S3 to artifact-proxy."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.behind_nginx import (
    Migration,
    migrated,
    migrating_nginx,
    reload,
    replicas_in_s3,
    replicas_over,
)
from tests.e2e.client_promises import ClientPromises, TransferPromises
from tests.e2e.roots import S3Root
from tests.support.access_log import logged
from tests.support.nginx_fixtures import PREFIX, Replicas
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority

MIB = 1024 * 1024
SERVER_INFO = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
ARTIFACT_ROUTE = re.compile(r"/api/2\.0/mlflow-artifacts/((?:mpu/)?[a-z]+)/")


@pytest.fixture(scope="module")
def storage(
    nginx_installed: None, object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[S3Root, Replicas]]:
    with replicas_in_s3(object_store, tmp_path_factory.mktemp("replicas")) as started:
        yield started


@pytest.fixture(scope="class")
def deployment(
    storage: tuple[S3Root, Replicas], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Migration]:
    with migrated(storage, tmp_path_factory.mktemp("migrated")) as started:
        yield started


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a client that may would take parts for files of 6 MiB, which else are too small for that."""
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(6 * MIB))
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 * MIB))
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(4 * MIB))


@pytest.fixture
def large_file(small_parts: None, tmp_path: Path) -> Path:
    made = tmp_path / "model.bin"
    made.write_bytes(secrets.token_bytes(6 * MIB + 1))
    return made


def routes(requests: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """Method, kind of route and status of requests for artifacts, but for listings."""
    found = [(method, ARTIFACT_ROUTE.search(target), status) for method, target, status in requests]
    return sorted((method, route[1], status) for method, route, status in found if route)


def asked_of_mlflow(deployment: Migration, run_id: str) -> list[str]:
    """The lines of MLflow's log for requests that are for artifacts of the run by their path."""
    return [
        line
        for line in deployment.old_server.log().splitlines()
        if "/mlflow-artifacts/" in line and run_id in line
    ]


class MigrationPromises:
    @pytest.mark.parametrize("route", SERVER_INFO)
    def test_clients_and_the_page_are_told_of_no_parts_and_all_else_is_unchanged(
        self, deployment: Migration, client: httpx.Client, route: str
    ) -> None:
        original = client.get(f"{deployment.old_server.url}{route}").raise_for_status()
        told = client.get(f"{deployment.tracking.url}{route}").raise_for_status()
        parts = {"multipart_uploads_enabled", "multipart_downloads_enabled"}
        assert {name for name in parts if original.json()[name] is True} == parts
        assert told.json() == original.json() | dict.fromkeys(parts, False)
        assert told.headers["content-type"] == original.headers["content-type"]

    def test_runs_are_recorded_as_before_and_their_artifacts_go_to_the_replicas(
        self, deployment: Migration, run_id: str, tmp_path: Path
    ) -> None:
        client = deployment.client()
        recorded = client.get_run(run_id).info.artifact_uri
        assert re.fullmatch(rf"mlflow-artifacts:/\d+/{run_id}/artifacts", recorded)
        client.log_text(run_id, "new", "new.txt")
        client.log_metric(run_id, "loss", 0.5)
        client.download_artifacts(run_id, "new.txt", str(tmp_path))
        assert routes(deployment.requests(run_id)) == [
            ("GET", "artifacts", 200),
            ("PUT", "artifacts", 200),
        ]
        assert deployment.requests("/mlflow/runs/") == []
        assert asked_of_mlflow(deployment, run_id) == []
        assert client.get_run(run_id).data.metrics == {"loss": 0.5}


class TestClients(MigrationPromises, ClientPromises):
    def test_runs_from_before_the_move_are_read_after_it_by_the_same_client(
        self, deployment: Migration, mlflow: Any, experiment: str, tmp_path: Path
    ) -> None:
        """First nginx sends everything to MLflow; then it is told of the replicas, while clients go on."""
        tracking, servers = deployment.old_server, deployment.replicas.urls
        with migrating_nginx(tmp_path / "nginx", [tracking.url], tracking) as nginx:
            client = mlflow.MlflowClient(tracking_uri=nginx.url)
            run_id = client.create_run(experiment).info.run_id
            client.log_text(run_id, "before", "notes/a é.txt")
            straight = mlflow.MlflowClient(tracking_uri=tracking.url)
            straight.log_text(run_id, "", "notes/empty.txt")
            assert deployment.requests(run_id) == []
            assert len(asked_of_mlflow(deployment, run_id)) == 2
            before = Path(client.download_artifacts(run_id, "notes/a é.txt", str(tmp_path)))
            assert before.read_text() == "before"

            told = nginx.configuration.read_text()
            server = f"server {tracking.url.removeprefix('http://')};"
            assert told.count(server) == 2
            replicas = " ".join(f"server {url.removeprefix('http://')};" for url in servers)
            reload(nginx, told.replace(server, replicas, 1))
            asked_before = asked_of_mlflow(deployment, run_id)

            assert [info.path for info in client.list_artifacts(run_id, "notes")] == [
                "notes/a é.txt",
                "notes/empty.txt",
            ]
            fetched = Path(client.download_artifacts(run_id, "notes", str(tmp_path / "fetched")))
            read = {path.name: path.read_text() for path in fetched.iterdir()}
            assert read == {"a é.txt": "before", "empty.txt": ""}
            client.log_text(run_id, "after", "notes/new.txt")
            stored = deployment.stored(client.get_run(run_id).info.artifact_uri)
            assert stored == {
                "notes/a é.txt": b"before",
                "notes/empty.txt": b"",
                "notes/new.txt": b"after",
            }
            assert routes(deployment.requests(run_id)) == [
                ("GET", "artifacts", 200),
                ("GET", "artifacts", 200),
                ("PUT", "artifacts", 200),
            ]
            assert asked_of_mlflow(deployment, run_id) == asked_before

    def test_the_page_reads_the_bucket_by_itself_as_before(
        self, deployment: Migration, client: httpx.Client, run_id: str
    ) -> None:
        deployment.client().log_text(run_id, "shown", "shown.txt")
        before = deployment.requests(run_id)
        for route, path in (("get-artifact", "shown.txt"), ("ajax-api/2.0/mlflow/artifacts/list", "")):
            url = f"{deployment.tracking.url}/{route}"
            assert client.get(url, params={"run_id": run_id, "path": path}).status_code == 200
        assert deployment.requests(run_id) == before
        page = client.get(f"{deployment.tracking.url}/").raise_for_status()
        assert "<title>MLflow</title>" in page.text

    def test_large_files_go_through_the_replicas(
        self, deployment: Migration, run_id: str, large_file: Path, tmp_path: Path
    ) -> None:
        log_and_fetch(deployment, deployment.tracking.url, run_id, large_file, tmp_path)
        assert routes(deployment.requests(run_id)) == [
            ("GET", "artifacts", 200),
            ("PUT", "artifacts", 200),
        ]

    def test_with_presign_and_without_the_location_for_that_large_files_go_past_both(
        self, deployment: Migration, run_id: str, large_file: Path, tmp_path: Path
    ) -> None:
        with (
            replicas_over(deployment.root, tmp_path, "--presign") as replicas,
            migrating_nginx(tmp_path / "nginx", replicas.urls, deployment.old_server) as nginx,
        ):
            reload(nginx, without_server_info(nginx.configuration.read_text()))
            log_and_fetch(deployment, nginx.url, run_id, large_file, tmp_path)
            asked = [request for replica in replicas for request in logged(replica, run_id)]
            assert routes(asked) == [
                ("GET", "presigned", 200),
                ("POST", "mpu/complete", 200),
                ("POST", "mpu/create", 200),
            ]
        assert asked_of_mlflow(deployment, run_id) == []


class TestClientsOverTls(MigrationPromises, TransferPromises):
    """At a sub-path, where the old server has been, too."""

    @pytest.fixture(scope="class")
    @classmethod
    def deployment(
        cls,
        storage: tuple[S3Root, Replicas],
        authority: PrivateAuthority,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Migration]:
        directory = tmp_path_factory.mktemp("tls")
        with migrated(storage, directory, static_prefix=PREFIX, authority=authority) as started:
            yield started

    def test_the_tracking_uri_of_clients_is_that_of_nginx(self, deployment: Migration) -> None:
        assert deployment.tracking.url == deployment.nginx.tls_url
        assert re.fullmatch(rf"https://127\.0\.0\.1:\d+{PREFIX}", deployment.tracking.url)


def log_and_fetch(deployment: Migration, url: str, run_id: str, file: Path, tmp_path: Path) -> None:
    """As a client does whose tracking URI is `url`."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=url)
    client.log_artifact(run_id, str(file))
    stored = deployment.stored(client.get_run(run_id).info.artifact_uri)
    assert stored == {file.name: file.read_bytes()}
    fetched = Path(client.download_artifacts(run_id, file.name, str(tmp_path / "fetched")))
    assert fetched.read_bytes() == file.read_bytes()


def without_server_info(text: str) -> str:
    """The configuration without the location that its comment says is to be removed then."""
    location = re.compile(r"^ {8}location ~ \S+/server-info\$ \{\n.*?^ {8}\}\n", re.MULTILINE | re.DOTALL)
    changed, count = location.subn("", text)
    assert count == 1
    return changed
