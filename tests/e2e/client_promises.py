"""What unmodified MLflow clients without storage credentials can rely on, however nginx is set up."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.behind_nginx import Deployment
from tests.e2e.models import logged_doubling
from tests.support.access_log import complete_log
from tests.support.mlflow_server import mlflow_command, mlflow_environment

# But none that looks percent-encoded: MLflow's client itself decodes such a name before it sends it.
TREE = {
    "top.txt": b"top",
    "empty.bin": b"",
    "with space/a b.txt": b"space",
    "日本語/ファイル é.json": b"{}",
    "100% plus+and&more=1;x'.csv": b"a,b\n1,2\n",
}
FIELDS = {"rate": 0.1, "layers": [1, 2]}


class TransferPromises:
    """Run for each set-up by a subclass in a module that has the fixture `deployment`."""

    @pytest.fixture(autouse=True)
    def setup(
        self, deployment: Deployment, user_environment: None, monkeypatch: pytest.MonkeyPatch
    ) -> Deployment:
        """In the place of the set-ups without nginx."""
        for name, value in deployment.client_environment.items():
            monkeypatch.setenv(name, value)
        secret = deployment.root.environment["AWS_SECRET_ACCESS_KEY"]
        assert not any(name.startswith("AWS_") or secret in value for name, value in os.environ.items())
        return deployment

    @pytest.fixture
    def client(self, deployment: Deployment, client: httpx.Client) -> Iterator[httpx.Client]:
        """One that trusts whom MLflow's clients trust."""
        ca_file = deployment.client_environment.get("REQUESTS_CA_BUNDLE")
        if ca_file is None:
            yield client
        else:
            with httpx.Client(timeout=60, verify=ssl.create_default_context(cafile=ca_file)) as trusting:
                yield trusting

    def test_all_that_is_logged_is_in_the_bucket_and_comes_back(
        self, deployment: Deployment, run_id: str, tmp_path: Path
    ) -> None:
        client = deployment.client()
        for name, content in TREE.items():
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).write_bytes(content)
        client.log_artifacts(run_id, str(tmp_path / "tree"), "the tree")
        client.log_artifact(run_id, str(tmp_path / "tree" / "with space" / "a b.txt"))
        client.log_text(run_id, "Grüße\n", "notes/hello.txt")
        client.log_dict(run_id, FIELDS, "fields.json")

        stored = deployment.stored(client.get_run(run_id).info.artifact_uri)
        assert json.loads(stored["fields.json"]) == FIELDS
        assert stored == {f"the tree/{name}": content for name, content in TREE.items()} | {
            "a b.txt": b"space",
            "notes/hello.txt": "Grüße\n".encode(),
            "fields.json": stored["fields.json"],
        }
        fetched = Path(client.download_artifacts(run_id, "", str(tmp_path / "fetched")))
        read = {str(path.relative_to(fetched)): path for path in fetched.rglob("*") if path.is_file()}
        assert {name: path.read_bytes() for name, path in read.items()} == stored

    def test_listings_tell_names_kinds_and_sizes(self, deployment: Deployment, run_id: str) -> None:
        client = deployment.client()
        client.log_text(run_id, "12345", "data/日本語 1.txt")
        client.log_text(run_id, "", "data/sub/empty.txt")

        def listed(path: str | None) -> list[tuple[str, bool, int | None]]:
            return [(info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run_id, path)]

        assert listed(None) == [("data", True, None)]
        assert listed("data") == [("data/sub", True, None), ("data/日本語 1.txt", False, 5)]
        assert listed("data/sub/empty.txt") == []

    def test_the_replicas_share_the_work(self, deployment: Deployment, run_id: str, tmp_path: Path) -> None:
        client = deployment.client()
        for number in range(4):
            client.log_text(run_id, f"text {number}", f"{number}.txt")
        client.download_artifacts(run_id, "", str(tmp_path))
        for replica in deployment.replicas:
            assert f"/{run_id}/artifacts" in complete_log(replica)
        asked = [each.method for each in deployment.requests(f"/{run_id}/artifacts/") if each.status == 200]
        assert (asked.count("PUT"), asked.count("GET")) == (4, 4)

    def test_the_page_lists_shows_and_takes_artifacts(
        self, deployment: Deployment, client: httpx.Client, run_id: str
    ) -> None:
        deployment.client().log_text(run_id, "shown\n", "notes/ü b.txt")
        url = deployment.tracking.url
        for api in ("api", "ajax-api"):
            answer = client.get(
                f"{url}/{api}/2.0/mlflow/artifacts/list", params={"run_id": run_id, "path": "notes"}
            )
            listed = [
                (file["path"], file["is_dir"], int(file["file_size"])) for file in answer.json()["files"]
            ]
            assert listed == [("notes/ü b.txt", False, 6)]
        shown = client.get(f"{url}/get-artifact", params={"run_id": run_id, "path": "notes/ü b.txt"})
        assert (shown.status_code, shown.content) == (200, b"shown\n")
        client.post(
            f"{url}/ajax-api/2.0/mlflow/upload-artifact",
            params={"run_uuid": run_id, "path": "notes/taken.txt"},
            content=b"taken",
        ).raise_for_status()
        stored = deployment.stored(deployment.client().get_run(run_id).info.artifact_uri)
        assert stored == {"notes/ü b.txt": b"shown\n", "notes/taken.txt": b"taken"}


class ClientPromises(TransferPromises):
    """And what takes longer."""

    @pytest.mark.filterwarnings("ignore::UserWarning:mlflow")  # MLflow warns the authors of models
    def test_a_model_is_loaded_again_and_shown(
        self, deployment: Deployment, client: httpx.Client, mlflow: Any, experiment: str
    ) -> None:
        logged = logged_doubling(mlflow, experiment)
        assert mlflow.pyfunc.load_model(logged.model_uri).predict([1.5, -2.0]) == [3.0, -4.0]
        stored = deployment.stored(mlflow.get_logged_model(logged.model_id).artifact_location)
        model = f"{deployment.tracking.url}/ajax-api/2.0/mlflow/logged-models/{logged.model_id}"
        shown = client.get(f"{model}/artifacts/files", params={"artifact_file_path": "MLmodel"})
        assert shown.raise_for_status().content == stored["MLmodel"]

    def test_garbage_collection_removes_exactly_the_artifacts_of_its_run(
        self, deployment: Deployment, experiment: str
    ) -> None:
        client = deployment.client()
        collected, kept, deleted = (client.create_run(experiment).info.run_id for _ in range(3))
        for run_id in (collected, kept, deleted):
            client.log_text(run_id, f"text of {run_id}", "a b/ü/text.txt")
            client.log_text(run_id, "", "empty.txt")
        before = deployment.root.tree()
        client.delete_run(collected)
        client.delete_run(deleted)

        command = mlflow_command(
            *("gc", "--backend-store-uri", deployment.tracking.database),
            *("--tracking-uri", deployment.tracking.url, "--run-ids", collected),
        )
        done = subprocess.run(
            command, env=mlflow_environment() | dict(deployment.client_environment), text=True, check=False,
            cwd=deployment.tracking.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

        assert done.returncode == 0, done.stdout
        gone = {name for name in before if f"/{collected}/" in name}
        assert len(gone) == 2
        after = deployment.root.tree()
        assert after == {name: content for name, content in before.items() if name not in gone}
        assert {"DELETE"} == {each.method for each in deployment.requests(collected) if each.method != "PUT"}
