"""Artifacts are removed when they are asked to be: by `mlflow gc`, of exactly the runs it collects."""

from __future__ import annotations

import subprocess

from tests.e2e.conftest import Setup
from tests.support.mlflow_server import mlflow_command, mlflow_environment


def collect(setup: Setup, *run_ids: str) -> subprocess.CompletedProcess[str]:
    """`mlflow gc`, as an operator of the tracking server runs it."""
    command = mlflow_command(
        *("gc", "--backend-store-uri", setup.tracking.database),
        *("--tracking-uri", setup.tracking.url, "--run-ids", ",".join(run_ids)),
    )
    return subprocess.run(
        command, env=mlflow_environment(), cwd=setup.tracking.directory, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run_with_artifacts(setup: Setup, experiment: str) -> str:
    client = setup.client()
    run_id: str = client.create_run(experiment).info.run_id
    client.log_text(run_id, f"text of {run_id}", "a b/ü/text.txt")
    client.log_text(run_id, "", "empty.txt")
    return run_id


def test_the_artifacts_of_a_deleted_run_are_kept_until_it_is_restored(http_setup: Setup, folder: str) -> None:
    client = http_setup.client()
    run_id = run_with_artifacts(http_setup, http_setup.new_experiment(folder))
    before = http_setup.root.tree()
    client.delete_run(run_id)
    assert http_setup.root.tree() == before
    client.restore_run(run_id)
    assert {info.path for info in client.list_artifacts(run_id)} == {"a b", "empty.txt"}


def test_garbage_collection_removes_exactly_the_artifacts_of_its_runs_of_which_one_may_have_none(
    setup: Setup, experiment: str, run_id: str
) -> None:
    collected, kept, deleted = (run_with_artifacts(setup, experiment) for _ in range(3))
    client = setup.client()
    before = setup.root.tree()
    for each in (collected, deleted, run_id):
        client.delete_run(each)

    done = collect(setup, run_id, collected)

    assert done.returncode == 0, done.stdout
    for each in (collected, run_id):
        assert f"Run with ID {each} has been permanently deleted." in done.stdout
    after = setup.root.tree()
    gone = {name for name in before if f"/{collected}/" in name}
    assert len(gone) == 2
    assert after == {name: content for name, content in before.items() if name not in gone}
    assert not any(collected in name for name in setup.root.names()), "its directories are gone too"
    client.restore_run(deleted)
    for each in (kept, deleted):
        assert {info.path for info in client.list_artifacts(each)} == {"a b", "empty.txt"}
