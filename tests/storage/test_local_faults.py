"""What the local storage leaves when a server is killed, a disk is full or a system call fails."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
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


class TestSweep:
    def test_removes_what_a_killed_server_left(self, root: Path, storage: LocalStorage) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", _HANGING_UPLOAD, str(root)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        staging = root / ".artifact-proxy" / "staging"
        assert len(list(staging.iterdir())) == 1
        assert storage.sweep() == 0, "it is alive in another process"
        process.kill()
        process.communicate()
        assert storage.sweep() == 1
        assert list(staging.iterdir()) == []
        assert names(storage) == []

    def test_of_another_worker_never_removes_a_file_between_its_creation_and_its_lock(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real_open = os.open
        swept: list[int] = []

        def open_and_sweep(name: str, flags: int, *args: object, **options: object) -> int:
            descriptor = real_open(name, flags, *args, **options)  # type: ignore[arg-type]
            if flags & os.O_EXCL and len(swept) < 3:
                swept.append(opened(root).sweep())
            return descriptor

        monkeypatch.setattr(os, "open", open_and_sweep)
        put(storage, "a", b"data")
        assert swept == [1, 1, 1]
        assert get(storage, "a") == b"data"


_HANGING_UPLOAD = """
import sys
from app.paths import ArtifactPath
from app.storage.local import LocalSettings, open_storage
storage = open_storage(sys.argv[1], LocalSettings(durability="full"), read_only=False)
upload = storage.create(ArtifactPath.parse("a"))
upload.write(b"x" * 1000)
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def small(tmp_path: Path, need_root: None) -> Iterator[LocalStorage]:
    mount = tmp_path / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=30", "tmpfs", mount], check=True)
    try:
        yield opened(mount)
    finally:
        subprocess.run(["umount", mount], check=True)


class TestFailures:
    def test_no_room_is_told_before_the_body(self, storage: LocalStorage) -> None:
        with pytest.raises(StorageFull):
            storage.create(path("a"), size=10**18)

    def test_a_full_disk_leaves_the_old_artifact_and_nothing_else(self, small: LocalStorage) -> None:
        put(small, "d/a", b"old")
        for name in ("d/a", "new/b"):
            with small.create(path(name)) as upload, pytest.raises(StorageFull):
                upload.write(bytes(2_000_000))
        assert paths(small) == ["d/a"]
        assert names(small) == ["d"]
        assert get(small, "d/a") == b"old"
        put(small, "d/a", bytes(500_000))

    def test_no_inode_left_is_a_full_disk(self, small: LocalStorage) -> None:
        stored = 0
        with suppress(StorageFull):
            for number in range(30):
                put(small, f"d/{number}")
                stored += 1
        assert 5 < stored < 30
        assert len(paths(small)) == stored
        assert small.sweep() == 0

    @pytest.mark.parametrize("call", ["fsync", "rename", "mkdir", "utime", "dup"])
    def test_an_error_at_any_step_of_commit_leaves_nothing(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        put(storage, "old")
        upload = storage.create(path("d/e/a"))
        upload.write(b"data")
        monkeypatch.setattr(os, call, _failing)
        with pytest.raises(StorageError):
            upload.commit()
        monkeypatch.undo()
        assert names(storage) == ["old"]
        assert os.listdir(storage._tree.root / ".artifact-proxy" / "staging") == []

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
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = storage.create(path("a"))
        monkeypatch.setattr(os, "unlink", _failing)
        upload.abort()
        monkeypatch.undo()
        assert storage.sweep() == 1


def _failing(*args: object, **options: object) -> None:
    raise OSError(5, "Input/output error")
