"""The folder of a batch in a local root: it lives as long as its lock is held, and is swept after that."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from app.errors import ArtifactError, StorageError, StorageUnavailable
from app.storage.base import Batch
from app.storage.local import LocalStorage
from tests.storage.conftest import opened
from tests.support.artifacts import path, paths, stage


def staging(root: Path) -> Path:
    return root / ".artifact-proxy" / "staging"


def publish(batch: Batch) -> list[ArtifactError | None]:
    return [one.error for one in batch.publish()]


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_one_that_is_swept_before_it_is_locked_is_made_anew(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever moment of its making."""
    real_open, moments = os.open, ["batch-", "lock", "lock", "batch-"]

    def open_and_sweep(name: str, flags: int, *args: object, **options: object) -> int:
        descriptor = real_open(name, flags, *args, **options)  # type: ignore[arg-type]  # as they came
        if moments and str(name).startswith(moments[0]):
            del moments[0]
            monkeypatch.setattr(os, "open", real_open)
            assert opened(root).sweep() == 0
            monkeypatch.setattr(os, "open", open_and_sweep)
        return descriptor

    monkeypatch.setattr(os, "open", open_and_sweep)
    batch = storage.batch()
    assert moments == []
    with batch:
        stage(batch, "a")
        assert len(list(staging(root).iterdir())) == 1
        assert publish(batch) == [None]
    assert paths(storage) == ["a"]
    assert list(staging(root).iterdir()) == []


def test_one_without_a_lock_to_be_had_is_none(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.check()
    before = len(os.listdir("/proc/self/fd"))

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            storage.batch()
    assert len(os.listdir("/proc/self/fd")) == before
    assert list(staging(root).iterdir()) == []


def test_that_of_a_dead_batch_is_swept_at_whichever_stage_it_was(root: Path, storage: LocalStorage) -> None:
    storage.check()
    for name, files in (("1", []), ("2", ["lock"]), ("3", ["lock", "0", "1"]), ("4", ["0"])):
        folder = staging(root) / f"batch-{name}"
        folder.mkdir()
        for file in files:
            (folder / file).write_bytes(b"left")
    with storage.batch() as batch:
        stage(batch, "alive")
        assert storage.sweep() == 3
        assert len(list(staging(root).iterdir())) == 1
        assert publish(batch) == [None]
    assert paths(storage) == ["alive"]


def test_one_from_which_somebody_removed_a_file_gives_the_others(root: Path, storage: LocalStorage) -> None:
    with storage.batch() as batch:
        for name in ("a", "b", "c"):
            stage(batch, name)
        (folder,) = staging(root).iterdir()
        (folder / "1").unlink()
        first, second, third = publish(batch)
    assert (first, third) == (None, None)
    assert isinstance(second, StorageError)
    assert paths(storage) == ["a", "c"]


def test_one_that_is_lost_with_its_root_makes_no_abort_fail(
    root: Path, storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    batch = storage.batch()
    stage(batch, "a")
    batch.create(path("b")).write(b"x")
    root.rename(root.with_name("elsewhere"))
    (published,) = batch.publish()
    assert isinstance(published.error, StorageUnavailable)
    batch.abort()
    assert len(os.listdir("/proc/self/fd")) == before
    assert "Left an aborted batch to the sweeper" in caplog.text
    assert opened(root.with_name("elsewhere")).sweep() == 0
    assert list(staging(root.with_name("elsewhere")).iterdir()) == []


def test_one_that_cannot_be_removed_is_swept(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = storage.batch()
    stage(batch, "a")
    with monkeypatch.context() as failing:
        failing.setattr(os, "unlink", fail)
        batch.abort()
    assert storage.sweep() == 1
    assert list(staging(root).iterdir()) == []


def test_that_of_a_batch_whose_artifact_cannot_be_named_goes_all_the_same(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with storage.batch() as batch:
        stage(batch, "new/a")
        with monkeypatch.context() as failing:
            failing.setattr(os, "rename", fail)
            failing.setattr(os, "rmdir", fail)
            (error,) = publish(batch)
    assert isinstance(error, StorageError)
    assert paths(storage) == []
    assert storage.sweep() == 0
    assert list(staging(root).iterdir()) == []
