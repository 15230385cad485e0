"""Unmodified MLflow clients log, list, load and download artifacts of runs."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import pytest

from tests.e2e.conftest import Setup
from tests.support.access_log import logged

MEGABYTE = 1024 * 1024


def test_a_logged_file_is_in_the_root_and_comes_back(setup: Setup, run_id: str, tmp_path: Path) -> None:
    client = setup.client()
    local = tmp_path / "weights.bin"
    local.write_bytes(secrets.token_bytes(3 * MEGABYTE))
    client.log_artifact(run_id, str(local), "models/first")

    stored = setup.stored(client.get_run(run_id).info.artifact_uri)
    assert stored == {"models/first/weights.bin": local.read_bytes()}
    fetched = client.download_artifacts(run_id, "models/first/weights.bin", str(tmp_path / "fetched"))
    assert Path(fetched).read_bytes() == local.read_bytes()


# But none that looks percent-encoded: MLflow's client itself decodes such a name before it sends it.
NAMES = {
    "top.txt": b"top",
    "nested/one/two/deep.bin": b"\x00\xff" * 5000,
    "empty.bin": b"",
    "with space/a b.txt": b"space",
    "日本語/ファイル é.json": b"{}",
    "100% plus+and&more=1;x'.csv": b"a,b\n1,2\n",
}


@pytest.fixture
def local_tree(tmp_path: Path) -> Path:
    """A directory with every kind of legal name, and an empty directory."""
    top = tmp_path / "tree"
    for name, content in NAMES.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    (top / "nothing in here").mkdir()
    return top


def files_below(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_logged_directory_comes_back_file_by_file(
    setup: Setup, run_id: str, local_tree: Path, tmp_path: Path
) -> None:
    client = setup.client()
    client.log_artifacts(run_id, str(local_tree), "the tree")
    assert setup.stored(client.get_run(run_id).info.artifact_uri) == {
        f"the tree/{name}": content for name, content in NAMES.items()
    }
    fetched = client.download_artifacts(run_id, "the tree", str(tmp_path / "fetched"))
    assert files_below(Path(fetched)) == NAMES


def test_a_whole_run_is_downloaded(setup: Setup, run_id: str, local_tree: Path, tmp_path: Path) -> None:
    client = setup.client()
    client.log_artifacts(run_id, str(local_tree))
    fetched = client.download_artifacts(run_id, "", str(tmp_path / "fetched"))
    assert files_below(Path(fetched)) == NAMES


def test_a_logged_empty_directory_is_no_error_and_lists_as_empty(
    setup: Setup, run_id: str, tmp_path: Path
) -> None:
    client = setup.client()
    (tmp_path / "empty").mkdir()
    client.log_artifacts(run_id, str(tmp_path / "empty"), "nothing")
    assert client.list_artifacts(run_id, "nothing") == []
    assert client.list_artifacts(run_id) == []


def test_listings_tell_names_kinds_and_sizes(setup: Setup, run_id: str, local_tree: Path) -> None:
    client = setup.client()
    client.log_artifacts(run_id, str(local_tree), "data")

    def listed(path: str | None) -> list[tuple[str, bool, int | None]]:
        return [(info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run_id, path)]

    assert listed(None) == [("data", True, None)]
    assert listed("data") == [
        ("data/100% plus+and&more=1;x'.csv", False, 8),
        ("data/empty.bin", False, 0),
        ("data/nested", True, None),
        ("data/top.txt", False, 3),
        ("data/with space", True, None),
        ("data/日本語", True, None),
    ]
    assert listed("data/日本語") == [("data/日本語/ファイル é.json", False, 2)]
    assert listed("data/top.txt") == []
    assert listed("data/missing") == []


def test_a_file_of_300_mb_comes_back_with_the_same_digest(
    http_setup: Setup, folder: str, tmp_path: Path
) -> None:
    client = http_setup.client()
    run = client.create_run(http_setup.new_experiment(folder))
    local, block, digest = tmp_path / "large.bin", secrets.token_bytes(MEGABYTE - 8), hashlib.sha256()
    with local.open("wb") as file:
        for number in range(300):
            # The number makes every block differ, so that none can be lost or swapped unnoticed.
            piece = number.to_bytes(8, "big") + block
            digest.update(piece)
            file.write(piece)
    client.log_artifact(run.info.run_id, str(local))
    local.unlink()
    stored = http_setup.path(f"{run.info.artifact_uri}/large.bin")
    fetched = Path(client.download_artifacts(run.info.run_id, "large.bin", str(tmp_path)))
    try:
        assert http_setup.root.sha256(stored) == digest.digest()
        with fetched.open("rb") as file:
            assert hashlib.file_digest(file, "sha256").digest() == digest.digest()
    finally:
        http_setup.root.remove(stored)
        fetched.unlink()


def test_a_logged_file_replaces_the_one_before(setup: Setup, run_id: str, tmp_path: Path) -> None:
    client = setup.client()
    client.log_text(run_id, "first, and longer", "note.txt")
    client.log_text(run_id, "second", "note.txt")
    fetched = client.download_artifacts(run_id, "note.txt", str(tmp_path))
    assert Path(fetched).read_text() == "second"


def test_each_file_is_sent_and_fetched_once_through_the_plain_routes(
    setup: Setup, run_id: str, tmp_path: Path
) -> None:
    client = setup.client()
    client.log_text(run_id, "once", "once.txt")
    client.download_artifacts(run_id, "once.txt", str(tmp_path))
    requests = [
        each for each in logged(setup.server, f"{run_id}/artifacts/once.txt") if "?" not in each.target
    ]
    assert [(request.method, request.status) for request in requests] == [("PUT", 200), ("GET", 200)]
    assert all(request.target.startswith("/api/2.0/mlflow-artifacts/artifacts/") for request in requests)
