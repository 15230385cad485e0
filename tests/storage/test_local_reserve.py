"""The room that uploads leave on the disk of a local root, so that it never fills."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import StorageFull
from app.storage.base import Room, Upload
from app.storage.local import LocalStorage
from tests.storage.conftest import opened
from tests.support.artifacts import get, path, paths, put

MIB = 1024 * 1024
SIZE, RESERVE = 64 * MIB, 16 * MIB
SLACK = 64 * 1024
"""What directories, locks and half-filled blocks take."""


@pytest.fixture
def disk(tmp_path: Path, need_root: None) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", mount], check=True)
    yield mount
    subprocess.run(["umount", mount], check=True)


@pytest.fixture
def reserved(disk: Path) -> LocalStorage:
    return opened(disk, disk_reserve=RESERVE)


def free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def fill(upload: Upload) -> None:
    while True:
        upload.write(bytes(MIB))


def test_the_room_is_what_the_file_system_says(disk: Path, reserved: LocalStorage) -> None:
    room = reserved.room()
    assert room == Room(free(disk), RESERVE)
    assert room.left == free(disk) - RESERVE
    put(reserved, "a", bytes(MIB))
    after = reserved.room()
    assert after is not None
    assert room.free - after.free >= MIB


def test_a_file_system_without_an_end_has_no_room_to_tell_and_takes_all(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: os.statvfs_result([4096, 4096] + [0] * 8))
    assert storage.room() is None
    with storage.create(path("a"), size=10**18):
        pass
    with storage.create(path("a")) as upload:
        for _ in range(20):
            upload.write(bytes(MIB))


def test_an_announced_size_that_would_touch_the_reserve_is_refused_before_the_body(
    disk: Path, reserved: LocalStorage
) -> None:
    room = reserved.room()
    assert room is not None
    with pytest.raises(StorageFull):
        reserved.create(path("a"), size=room.left + 1)
    with reserved.create(path("a"), size=room.left - SLACK):
        pass
    assert os.listdir(disk / ".artifact-proxy" / "staging") == []


def test_without_a_size_the_upload_ends_where_the_reserve_begins(disk: Path, reserved: LocalStorage) -> None:
    put(reserved, "a", b"old")
    with reserved.create(path("a")) as upload:
        with pytest.raises(StorageFull):
            fill(upload)
        assert RESERVE - SLACK <= free(disk) < RESERVE + MIB + SLACK
    assert get(reserved, "a") == b"old"
    assert paths(reserved) == ["a"]
    assert free(disk) > SIZE - MIB, "what was written is gone again"


def test_many_uploads_at_once_leave_the_reserve_as_one_does(disk: Path, reserved: LocalStorage) -> None:
    """Each of them has room for all that it announces, and all together have not."""

    def upload(number: int) -> bool:
        try:
            put(reserved, f"d/{number}", bytes(10 * MIB))
        except StorageFull:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(upload, range(8)))
    assert 1 <= sum(stored) <= 4
    assert free(disk) >= RESERVE - SLACK
    assert len(paths(reserved)) == sum(stored)


def test_what_others_write_is_noticed(disk: Path, reserved: LocalStorage) -> None:
    with reserved.create(path("a")) as upload:
        upload.write(b"first")
        (disk / "foreign").write_bytes(bytes(SIZE - RESERVE - MIB))
        with pytest.raises(StorageFull):
            fill(upload)
        assert free(disk) > RESERVE / 4, "of the reserve there is something left for what others write"


def test_below_the_reserve_artifacts_are_read_and_deleted_and_then_there_is_room_again(
    disk: Path, reserved: LocalStorage
) -> None:
    put(reserved, "d/large", bytes(20 * MIB))
    (disk / "foreign").write_bytes(bytes(SIZE - RESERVE - 19 * MIB))
    room = reserved.room()
    assert room is not None
    assert room.left < 0
    for size in (0, None):
        with pytest.raises(StorageFull):
            reserved.create(path("b"), size=size)
    assert len(get(reserved, "d/large")) == 20 * MIB
    reserved.check()
    reserved.delete(path("d"))
    put(reserved, "b", b"new")
    assert paths(reserved) == ["b", "foreign"]


def test_a_full_disk_lets_artifacts_be_deleted(disk: Path, reserved: LocalStorage) -> None:
    for name in ("a", "d/b"):
        put(reserved, name)
    subprocess.run(["dd", "if=/dev/zero", f"of={disk}/foreign", "bs=1M"], check=False, capture_output=True)
    assert free(disk) == 0
    for name in ("a", "d"):
        reserved.delete(path(name))
    assert paths(reserved) == ["foreign"]


def test_the_rehearsal_says_that_there_is_less_than_the_reserve(disk: Path, reserved: LocalStorage) -> None:
    assert list(reserved.rehearse()) == ["list", "write", "read back", "delete"]
    (disk / "foreign").write_bytes(bytes(SIZE - RESERVE + MIB))
    with pytest.raises(StorageFull, match=f"--disk-reserve is {RESERVE}"):
        list(reserved.rehearse())
