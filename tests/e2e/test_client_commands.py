"""The commands of clients with the runs and models of a real tracking server, over each kind of storage."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Setup
from tests.support.client_command import ended


def test_the_artifacts_of_runs_and_models_are_found(
    setup: Setup,
    run_id: str,
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", setup.tracking.url)
    monkeypatch.setenv("ARTIFACT_PROXY_SERVER", setup.server.url)
    monkeypatch.chdir(tmp_path)
    run = partial(ended, capfd)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.txt").write_text("content\n")

    assert run("put", "model", f"runs:/{run_id}/").status == 0
    artifact_uri = setup.client().get_run(run_id).info.artifact_uri
    assert setup.stored(artifact_uri) == {"model/a.txt": b"content\n"}
    assert run("ls", f"runs:/{run_id}/model").out == "a.txt\n"
    assert run("cat", f"runs:/{run_id}/*/*.txt").out == "content\n"
    assert run("get", "-r", f"runs:/{run_id}/model", "copy").status == 0
    assert (tmp_path / "copy" / "a.txt").read_text() == "content\n"
    assert run("stat", f"{artifact_uri}/model/a.txt").out.startswith("path ")

    setup.client().create_registered_model(folder)
    version = setup.client().create_model_version(folder, f"{artifact_uri}/model", run_id).version
    setup.client().set_registered_model_alias(folder, "best", version)
    assert run("cat", f"models:/{folder}/{version}/a.txt").out == "content\n"
    assert run("ls", f"models:/{folder}@best").out == "a.txt\n"

    monkeypatch.delenv("ARTIFACT_PROXY_SERVER")
    assert run("rm", "-r", f"runs:/{run_id}/model").status == 0
    assert run("ls", f"runs:/{run_id}").out == ""
    missing = run("ls", "runs:/0123456789abcdef0123456789abcdef")
    assert missing.status == 3
    assert "not found" in missing.err
