"""A batch in a local root: few descriptors, little memory, and one sync for each directory."""

from __future__ import annotations

import errno
import gc
import os
import stat
import subprocess
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import StorageError, StorageFull
from app.storage.base import Batch
from app.storage.local import LocalStorage
from tests.storage.conftest import opened
from tests.support.artifacts import get, judge, path, paths, put, stage

MIB = 1024 * 1024
MANY = [f"{number % 5}/{number}" for number in range(300)]


@pytest.fixture
def quick(root: Path) -> LocalStorage:
    return opened(root, durability="none")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file or directory was synced, by its path."""
    counted: Counter[str] = Counter()
    sync = os.fsync

    def count(descriptor: int) -> None:
        counted[os.readlink(f"/proc/self/fd/{descriptor}")] += 1
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    return counted


def staging(root: Path) -> Path:
    return root / ".artifact-proxy" / "staging"


def whole_tree(root: Path) -> dict[str, bytes | None]:
    """All that is below the root, the server's own corner with it, but for the locks of paths."""
    return {
        str(found.relative_to(root)): found.read_bytes() if found.is_file() else None
        for found in root.rglob("*")
        if found.parent.name != "locks"
    }


def stage_all(batch: Batch, names: list[str]) -> None:
    for name in names:
        stage(batch, name, name.encode())


def publish(batch: Batch) -> list[StorageError | None]:
    return [one.error if isinstance(one.error, StorageError) else None for one in batch.publish()]


class TestStaging:
    def test_of_many_takes_three_descriptors(self, quick: LocalStorage) -> None:
        before = len(os.listdir("/proc/self/fd"))
        with quick.batch() as batch:
            stage_all(batch, MANY)
            assert len(os.listdir("/proc/self/fd")) == before + 2
            with batch.create(path("last")) as upload:
                assert len(os.listdir("/proc/self/fd")) == before + 3
                upload.commit()
            assert len([one for one in batch.publish() if one.created]) == len(MANY) + 1
            assert len(os.listdir("/proc/self/fd")) == before
        assert get(quick, MANY[-1]) == MANY[-1].encode()

    def test_of_many_takes_little_memory(self, quick: LocalStorage) -> None:
        named = [path(name) for name in MANY]
        with quick.batch() as batch:
            tracemalloc.start()
            try:
                for one in named:
                    with batch.create(one) as upload:
                        upload.commit()
                del upload
                gc.collect()
                taken, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert taken / len(named) < 150

    def test_that_is_aborted_leaves_all_as_it_was(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "d/old", b"old")
        before = whole_tree(root)
        with storage.batch() as batch:
            stage(batch, "d/old", b"new")
            stage(batch, "e/f/new", b"new")
            batch.create(path("open")).write(b"x")
            judge(batch)
            assert len(whole_tree(root)) == len(before) + 5  # with the folder and its lock
        assert whole_tree(root) == before

    def test_gives_each_a_version_of_its_own(self, quick: LocalStorage) -> None:
        with quick.batch() as batch:
            staged = [stage(batch, name, b"same") for name in MANY]
            published = [one.entry for one in batch.publish()]
        assert published == staged
        assert len({entry.modified for entry in staged}) > 1
        assert len({entry.etag for entry in staged}) == len(MANY)
        assert quick.stat(path(MANY[7])) == staged[7]

    def test_that_finds_no_room_leaves_nothing(self, root: Path, storage: LocalStorage) -> None:
        with storage.batch() as batch:
            stage(batch, "a")
            with pytest.raises(StorageFull):
                batch.create(path("b"), size=1 << 60)
        assert list(staging(root).iterdir()) == []
        assert paths(storage) == []

    def test_writes_over_what_could_not_be_removed(
        self, quick: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with quick.batch() as batch:
            upload = batch.create(path("a"))
            upload.write(b"longer than what comes next")
            with monkeypatch.context() as failing:
                failing.setattr(os, "unlink", fail)
                upload.abort()
            stage(batch, "b", b"short")
            assert publish(batch) == [None]
        assert get(quick, "b") == b"short"
        assert quick.sweep() == 0


@pytest.fixture
def small(tmp_path: Path, need_root: None) -> Iterator[LocalStorage]:
    """On a disk of one mebibyte."""
    mount = tmp_path / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], check=True)
    try:
        yield opened(mount, disk_reserve=0)
    finally:
        subprocess.run(["umount", mount], check=True)


def test_a_full_disk_ends_a_batch_and_keeps_the_old_artifact(small: LocalStorage, tmp_path: Path) -> None:
    put(small, "a", b"old")
    with small.batch() as batch:
        for name in ("b", "c", "d"):
            stage(batch, name, bytes(MIB // 4))
        with pytest.raises(StorageFull):
            stage(batch, "e", bytes(MIB // 2))
    assert list(staging(tmp_path / "mount").iterdir()) == []
    assert paths(small) == ["a"]
    put(small, "b", bytes(MIB // 2))


class TestSyncs:
    def test_are_one_for_each_file_and_one_for_each_directory(
        self, root: Path, storage: LocalStorage, synced: Counter[str]
    ) -> None:
        put(storage, "new/old", b"old")
        names = ["a", "b", "new/a", "new/old", "c", "new/b"]
        with storage.batch() as batch:
            synced.clear()
            stage_all(batch, names)
            assert sorted(synced.values()) == [1] * len(names)
            assert all("/staging/batch-" in file for file in synced)
            synced.clear()
            publishing = batch.publish()
            syncs = []
            for _ in names:
                assert next(publishing).error is None
                syncs.append(sum(synced.values()))
            # Each with the last name in its directory, so that no step has many to wait for.
            assert syncs == [0, 0, 0, 0, 1, 2]
            assert synced == {str(root): 1, str(root / "new"): 1}

    def test_are_none_without_durability(self, quick: LocalStorage, synced: Counter[str]) -> None:
        with quick.batch() as batch:
            stage_all(batch, MANY)
            assert publish(batch) == [None] * len(MANY)
        assert synced == {}

    def test_that_fail_take_away_what_is_new_and_leave_what_was_replaced(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("bad/old", "good/old"):
            put(storage, name, b"old")
        (root / "empty").mkdir()
        sync = os.fsync

        def fail(descriptor: int) -> None:
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            if name.endswith(("/bad", "/empty")):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        with storage.batch() as batch:
            stage_all(batch, ["bad/old", "bad/new", "empty/new", "good/old", "good/new"])
            monkeypatch.setattr(os, "fsync", fail)
            told = {str(one.path): type(one.error) for one in batch.publish()}
        lost = dict.fromkeys(["bad/old", "bad/new", "empty/new"], StorageError)
        assert told == lost | dict.fromkeys(["good/old", "good/new"], type(None))
        assert paths(storage) == ["bad/old", "good/new", "good/old"]
        assert get(storage, "bad/old") == b"bad/old"
        assert not (root / "empty").exists()
        assert list(staging(root).iterdir()) == []

    def test_that_fail_spare_what_others_have_stored_there_since(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sync = os.fsync

        def fail(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        with storage.batch() as batch:
            stage_all(batch, ["a", "b", "c"])
            publishing = batch.publish()
            assert [str(next(publishing).path) for _ in range(2)] == ["a", "b"]
            put(opened(root, durability="none"), "a", b"other's")
            monkeypatch.setattr(os, "fsync", fail)
            assert {str(one.path): type(one.error) for one in publishing} == dict.fromkeys(
                "abc", StorageError
            )
        assert paths(storage) == ["a"]
        assert get(storage, "a") == b"other's"


class TestStops:
    """Somebody stops in the middle of what is published."""

    NAMES = ("d/a", "e/a", "d/b", "e/b", "f/a")

    def stop(self, batch: Batch, after: int) -> None:
        stage_all(batch, list(self.NAMES))
        publishing = batch.publish()
        for _ in range(after):
            assert next(publishing).error is None

    def test_have_all_that_is_there_synced(
        self, root: Path, storage: LocalStorage, synced: Counter[str]
    ) -> None:
        with storage.batch() as batch:
            self.stop(batch, after=3)
            made = {str(root / name) for name in "de"}
            assert synced[str(root / "d")] == 1
            assert synced[str(root / "e")] == 0
        assert {name: times for name, times in synced.items() if name in made} == dict.fromkeys(made, 1)
        assert paths(storage) == sorted(self.NAMES[:3])
        assert list(staging(root).iterdir()) == []

    def test_whose_sync_fails_are_told_of_in_the_log(
        self,
        root: Path,
        storage: LocalStorage,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        sync, failed = os.fsync, []

        def fail(descriptor: int) -> None:
            name = os.readlink(f"/proc/self/fd/{descriptor}")
            if name.endswith("/e"):
                failed.append(name)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        with storage.batch() as batch:
            self.stop(batch, after=3)
            monkeypatch.setattr(os, "fsync", fail)
        assert len(failed) == 1
        assert "A crash may take what a batch has published in 1 directories" in caplog.text
        assert paths(storage) == sorted(self.NAMES[:3])

    def test_that_have_no_time_leave_the_rest_to_the_sweeper_and_say_so(
        self,
        root: Path,
        storage: LocalStorage,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr("app.storage.local.batch.ABORT_PATIENCE", -1)
        with storage.batch() as batch:
            self.stop(batch, after=2)
        assert "A crash may take what a batch has published in 2 directories" in caplog.text
        assert "no time to remove 3 more files" in caplog.text
        assert storage.sweep() == 3
        assert list(staging(root).iterdir()) == []
        assert paths(storage) == sorted(self.NAMES[:2])
