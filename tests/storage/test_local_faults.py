"""What the local storage says and leaves when a system call fails, or somebody else spoils its files.

tests/promises has each call of an upload fail in turn.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import (
    ArtifactError,
    InvalidPath,
    PathConflict,
    StorageError,
    StorageFull,
    StoragePermissionDenied,
    StorageTimeout,
    StorageUnavailable,
)
from app.storage.local import LocalStorage
from tests.storage.conftest import opened
from tests.support.artifacts import get, names, path, paths, put


@pytest.fixture
def small(tmp_path: Path, need_root: None) -> Iterator[LocalStorage]:
    mount = tmp_path / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=30", "tmpfs", mount], check=True)
    try:
        yield opened(mount, disk_reserve=0)
    finally:
        subprocess.run(["umount", mount], check=True)


class TestFailures:
    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_name_that_cannot_be_synced_is_an_error_and_never_a_torn_artifact(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, replaced: bool
    ) -> None:
        if replaced:
            put(storage, "d/a", b"old")
        upload = storage.create(path("d/a"))
        upload.write(b"new")
        real_fsync, calls = os.fsync, []

        def fail_for_the_parent(descriptor: int) -> None:
            calls.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
            if sum(calls) == (1 if replaced else 2):
                raise OSError(5, "Input/output error")
            real_fsync(descriptor)

        monkeypatch.setattr(os, "fsync", fail_for_the_parent)
        with pytest.raises(StorageError):
            upload.commit()
        monkeypatch.undo()
        assert paths(storage) == (["d/a"] if replaced else [])
        if replaced:
            assert get(storage, "d/a") == b"new"

    def test_an_artifact_cut_short_under_our_hands_is_an_error_in_the_middle(
        self, root: Path, storage: LocalStorage
    ) -> None:
        put(storage, "a", bytes(3_000_000))
        download = storage.read(path("a"))
        next(download)
        os.truncate(root / "a", 1000)
        with pytest.raises(StorageError, match="cut short"):
            list(download)
        download.close()

    def test_permission_is_denied_without_showing_the_servers_path(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(storage, "a")

        def refuse(*args: object, **options: object) -> int:
            raise PermissionError(13, "Permission denied", str(root / "a"))

        monkeypatch.setattr(os, "stat", refuse)
        with pytest.raises(StoragePermissionDenied) as caught:
            storage.stat(path("a"))
        assert str(root) not in str(caught.value)

    def test_a_lock_that_cannot_be_had_leaks_nothing(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage.check()
        before = len(os.listdir("/proc/self/fd"))

        def no_locks(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", no_locks)
        for _ in range(5):
            with pytest.raises(StorageUnavailable):
                storage.create(path("a"))
        assert len(os.listdir("/proc/self/fd")) == before
        assert os.listdir(root / ".artifact-proxy" / "staging") == []

    def test_an_odd_thing_in_staging_does_not_keep_the_sweeper_from_the_rest(
        self, root: Path, storage: LocalStorage, caplog: pytest.LogCaptureFixture
    ) -> None:
        storage.check()
        staging = root / ".artifact-proxy" / "staging"
        (staging / "000").mkdir()
        for name in ("a", "b"):
            (staging / name).write_bytes(b"leftover")
        assert storage.sweep() == 2
        assert os.listdir(staging) == ["000"]
        assert "remove it by hand" in caplog.text

    def test_a_time_beyond_the_calendar_is_no_time(self, small: LocalStorage, tmp_path: Path) -> None:
        put(small, "d/a", b"data")
        os.utime(tmp_path / "mount" / "d" / "a", (1e12, 1e12))
        assert small.stat(path("d/a")).modified is None
        assert names(small, "d") == ["a"]
        assert get(small, "d/a") == b"data"
        put(small, "d/a", b"new")
        assert small.stat(path("d/a")).modified

    def test_the_file_of_an_upload_that_somebody_removed_is_an_error(
        self, root: Path, storage: LocalStorage
    ) -> None:
        upload = storage.create(path("d/a"))
        for staged in (root / ".artifact-proxy" / "staging").iterdir():
            staged.unlink()
        with pytest.raises(StorageError, match="removed the file"):
            upload.commit()
        assert names(storage) == []

    @pytest.mark.parametrize(
        ("number", "kind"),
        [
            (errno.ENOTDIR, PathConflict),
            (errno.EILSEQ, InvalidPath),
            (errno.ENAMETOOLONG, InvalidPath),
            (errno.ETIMEDOUT, StorageTimeout),
            (errno.ESTALE, StorageUnavailable),
            (errno.EROFS, StoragePermissionDenied),
            (errno.EDQUOT, StorageFull),
            (errno.EIO, StorageError),
        ],
    )
    def test_each_fault_of_the_system_has_its_name(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[ArtifactError]
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise OSError(number, os.strerror(number), "/srv/secret/place")

        upload = storage.create(path("a"))
        monkeypatch.setattr(os, "rename", fail)
        with pytest.raises(kind) as caught:
            upload.commit()
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY])
    def test_an_empty_directory_that_cannot_be_removed_is_not_called_a_conflict(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        (root / "a").mkdir()

        def fail(*args: object, **options: object) -> None:
            raise OSError(number, os.strerror(number))

        upload = storage.create(path("a"))
        monkeypatch.setattr(os, "rmdir", fail)
        with pytest.raises(StorageError):
            upload.commit()

    def test_an_abort_that_fails_is_left_to_the_sweeper(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        upload = storage.create(path("a"))
        monkeypatch.setattr(os, "unlink", fail)
        upload.abort()
        monkeypatch.undo()
        assert storage.sweep() == 1
