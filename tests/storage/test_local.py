"""What is the local root's own: links, special files, other processes, and the order of syncs."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.errors import (
    ArtifactNotFound,
    PathConflict,
    StorageError,
    StorageFull,
    StoragePermissionDenied,
    StorageUnavailable,
)
from app.paths import ArtifactPath
from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.storage.test_contract import get, names, path, paths, put


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return opened(root)


def opened(root: Path | str, *, durability: str = "full", read_only: bool = False) -> LocalStorage:
    settings = LocalSettings.model_validate({"durability": durability})
    return open_storage(str(root), settings, read_only=read_only)


class TestLinks:
    """Links are never followed, whatever they point to, and are as good as absent."""

    @pytest.fixture(params=["inside", "outside", "dangling", "loop"])
    def link(self, request: pytest.FixtureRequest, root: Path, storage: LocalStorage, tmp_path: Path) -> Path:
        outside = tmp_path / "outside"
        (outside / "d").mkdir(parents=True)
        (outside / "secret").write_bytes(b"secret")
        (outside / "d" / "secret").write_bytes(b"secret")
        put(storage, "inside/d/secret", b"inside")
        put(storage, "inside/secret", b"inside")
        link = root / "link"
        targets = {
            "inside": root / "inside",
            "outside": outside,
            "dangling": tmp_path / "nowhere",
            "loop": link,
        }
        link.symlink_to(targets[request.param])
        return link

    def test_reads_find_nothing(self, storage: LocalStorage, link: Path) -> None:
        for below in ("link", "link/secret", "link/d/secret"):
            with pytest.raises(ArtifactNotFound):
                storage.stat(path(below))
            with pytest.raises(ArtifactNotFound):
                storage.read(path(below))

    def test_listings_show_nothing(self, storage: LocalStorage, link: Path) -> None:
        assert names(storage) == ["inside"]
        assert paths(storage) == ["inside/d/secret", "inside/secret"]
        for below in ("link", "link/d"):
            assert names(storage, below) == paths(storage, below) == []

    def test_an_upload_below_one_is_refused(self, storage: LocalStorage, link: Path, tmp_path: Path) -> None:
        before = _snapshot(tmp_path / "outside")
        with pytest.raises(PathConflict):
            storage.create(path("link/new"))
        assert _snapshot(tmp_path / "outside") == before

    def test_an_upload_in_its_place_replaces_the_link_and_not_its_target(
        self, storage: LocalStorage, link: Path, tmp_path: Path
    ) -> None:
        before = _snapshot(tmp_path / "outside")
        put(storage, "link", b"mine")
        assert not link.is_symlink()
        assert get(storage, "link") == b"mine"
        assert _snapshot(tmp_path / "outside") == before

    def test_a_deletion_through_one_removes_nothing(
        self, storage: LocalStorage, link: Path, tmp_path: Path
    ) -> None:
        before = _snapshot(tmp_path)
        storage.delete(path("link/d"))
        storage.delete(path("link/secret"))
        assert _snapshot(tmp_path) == before

    def test_a_deletion_of_a_directory_removes_links_and_not_their_targets(
        self, root: Path, storage: LocalStorage, link: Path, tmp_path: Path
    ) -> None:
        before = _snapshot(tmp_path / "outside")
        (root / "d").mkdir()
        link.rename(root / "d" / "link")
        storage.delete(path("d"))
        assert not (root / "d").exists()
        assert _snapshot(tmp_path / "outside") == before
        assert names(storage) == ["inside"]

    def test_a_directory_swapped_for_a_link_during_an_upload_gets_nothing(
        self, root: Path, storage: LocalStorage, tmp_path: Path
    ) -> None:
        put(storage, "d/old")
        outside = tmp_path / "outside"
        outside.mkdir()
        with storage.create(path("d/new")) as upload:
            upload.write(b"x")
            shutil.rmtree(root / "d")
            (root / "d").symlink_to(outside)
            with pytest.raises(PathConflict):
                upload.commit()
        assert list(outside.iterdir()) == []
        assert os.listdir(storage._tree.root / ".artifact-proxy" / "staging") == []


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_special_files_are_absent_and_never_hang(root: Path, storage: LocalStorage, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(root / "a")
    else:
        _bind_socket(root / "a")
    _assert_absent(storage)


def test_devices_are_absent(root: Path, storage: LocalStorage, need_root: None) -> None:
    os.mknod(root / "a", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    _assert_absent(storage)


def _assert_absent(storage: LocalStorage) -> None:
    for look in (storage.read, storage.stat):
        with pytest.raises(ArtifactNotFound):
            look(path("a"))
    assert names(storage) == []


def _bind_socket(at: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(at))


def test_a_fifo_that_takes_an_artifacts_place_at_the_last_moment_does_not_hang(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(storage, "a")
    looked_at = storage.stat(path("a"))
    (root / "a").unlink()
    os.mkfifo(root / "a")
    monkeypatch.setattr(LocalStorage, "stat", lambda self, path: looked_at)
    with pytest.raises(ArtifactNotFound):
        storage.read(path("a"))


@pytest.mark.parametrize("swap", ["link", "missing", "directory", "socket"])
def test_a_swap_between_look_and_open_finds_nothing(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    put(storage, "a")
    looked_at = storage.stat(path("a"))
    (root / "a").unlink()
    if swap == "link":
        (root / "a").symlink_to("/etc/passwd")
    elif swap == "directory":
        (root / "a").mkdir()
    elif swap == "socket":
        _bind_socket(root / "a")
    monkeypatch.setattr(LocalStorage, "stat", lambda self, path: looked_at)
    with pytest.raises(ArtifactNotFound):
        storage.read(path("a"))


def test_an_upload_never_writes_through_a_hard_link(
    root: Path, storage: LocalStorage, tmp_path: Path
) -> None:
    put(storage, "a", b"old")
    os.link(root / "a", tmp_path / "other")
    put(storage, "a", b"new")
    assert (tmp_path / "other").read_bytes() == b"old"
    assert get(storage, "a") == b"new"


def test_the_sibling_of_the_root_is_out_of_reach(root: Path, storage: LocalStorage) -> None:
    evil = root.with_name(root.name + "-evil")
    evil.mkdir()
    (evil / "x").write_bytes(b"x")
    put(storage, "a")
    assert names(storage) == ["a"]


class TestRoot:
    @pytest.mark.parametrize("loss", ["removed", "replaced", "replaced by a file"])
    def test_once_lost_is_unavailable_and_never_created_again(
        self, root: Path, storage: LocalStorage, loss: str
    ) -> None:
        put(storage, "d/a")
        upload = storage.create(path("d/b"))
        root.rename(root.with_name("elsewhere"))
        if loss == "replaced":
            root.mkdir()
        elif loss == "replaced by a file":
            root.write_bytes(b"")
        calls: list[Callable[[], object]] = [
            lambda: storage.stat(path("d/a")),
            lambda: storage.read(path("d/a")),
            lambda: list(storage.list(ArtifactPath())),
            lambda: list(storage.list(ArtifactPath(), recursive=True)),
            lambda: storage.create(path("d/c")),
            lambda: storage.delete(path("d/a")),
            upload.commit,
            storage.check,
            storage.sweep,
        ]
        for call in calls:
            with pytest.raises(StorageUnavailable) as caught:
                call()
            assert str(root) not in str(caught.value)
        assert root.exists() == (loss != "removed")
        if loss == "replaced":
            assert list(root.iterdir()) == []

    def test_works_again_when_it_is_back(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "a")
        root.rename(root.with_name("elsewhere"))
        with pytest.raises(StorageUnavailable):
            storage.stat(path("a"))
        root.with_name("elsewhere").rename(root)
        assert get(storage, "a") == b"data"

    def test_may_be_a_link_which_is_resolved_once(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        root.symlink_to("one")
        storage = opened(root)
        root.unlink()
        root.symlink_to("two")
        put(storage, "a")
        assert (tmp_path / "one" / "a").read_bytes() == b"data"

    def test_given_relative_is_resolved_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        storage = opened("here")
        (tmp_path / "other").mkdir()
        monkeypatch.chdir(tmp_path / "other")
        put(storage, "a")
        assert (tmp_path / "here" / "a").exists()

    @pytest.mark.parametrize("form", ["file://{}", "file:{}", "FILE://localhost{}"])
    def test_may_be_a_file_url(self, tmp_path: Path, form: str) -> None:
        storage = opened(form.format(tmp_path / "with%20space%23"))
        put(storage, "a")
        assert (tmp_path / "with space#" / "a").exists()

    @pytest.mark.parametrize(
        ("url", "remedy"),
        [
            ("file://host/path", "file:///path"),
            ("file:relative", "plain path"),
            ("file:///a?b", "%3F"),
            ("file:///a#b", "%23"),
        ],
    )
    def test_as_a_file_url_that_could_be_misread_is_refused_with_the_remedy(
        self, url: str, remedy: str
    ) -> None:
        with pytest.raises(ValueError, match=remedy):
            opened(url)

    def test_whose_parent_is_missing_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="create or mount"):
            opened(tmp_path / "missing" / "root")
        assert list(tmp_path.iterdir()) == []

    def test_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(ValueError, match="not a directory"):
            opened(tmp_path / "file")

    def test_that_is_missing_is_not_made_by_a_read_only_server(self, root: Path) -> None:
        with pytest.raises(ValueError, match="does not exist"):
            opened(root, read_only=True)
        assert not root.exists()

    def test_that_was_prepared_is_opened_by_further_processes(
        self, root: Path, storage: LocalStorage
    ) -> None:
        settings = LocalSettings.model_validate({})
        again = open_storage(storage.url, settings, read_only=False, prepare=False)
        put(again, "a")
        assert get(storage, "a") == b"data"

    def test_whose_place_a_bare_mount_point_took_is_refused_by_further_processes(self, root: Path) -> None:
        root.mkdir()
        settings = LocalSettings.model_validate({})
        with pytest.raises(ValueError, match="mount it again"):
            open_storage(str(root), settings, read_only=False, prepare=False)
        assert list(root.iterdir()) == []

    def test_is_not_touched_by_a_read_only_server(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "a")
        shutil.rmtree(root / ".artifact-proxy")
        reader = opened(root, read_only=True)
        reader.check()
        assert reader.sweep() == 0
        assert get(reader, "a") == b"data"
        assert os.listdir(root) == ["a"]


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


class TestFailures:
    def test_no_room_is_told_before_the_body(self, storage: LocalStorage) -> None:
        with pytest.raises(StorageFull):
            storage.create(path("a"), size=10**18)

    @pytest.fixture
    def small(self, tmp_path: Path, need_root: None) -> Iterator[LocalStorage]:
        mount = tmp_path / "mount"
        mount.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=30", "tmpfs", mount], check=True)
        try:
            yield opened(mount)
        finally:
            subprocess.run(["umount", mount], check=True)

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


def _failing(*args: object, **options: object) -> None:
    raise OSError(5, "Input/output error")


def _snapshot(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below `directory` but the server's own: kind and content, links not followed."""
    found = {}
    for at in sorted(directory.rglob("*")):
        if ".artifact-proxy" not in at.parts:
            content = os.readlink(at).encode() if at.is_symlink() else b""
            if at.is_file() and not at.is_symlink():
                content = at.read_bytes()
            found[str(at.relative_to(directory))] = (stat.S_IFMT(at.lstat().st_mode), content)
    return found
