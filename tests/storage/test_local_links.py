"""Links and special files below the local root: never followed, never waited for, never written to."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path

import pytest

from app.errors import ArtifactNotFound, PathConflict
from app.storage.local import LocalStorage
from tests.support.artifacts import get, names, path, paths, put


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
    monkeypatch.setattr("app.storage.local.storage.entry_at", lambda parent, path: looked_at)
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
    monkeypatch.setattr("app.storage.local.storage.entry_at", lambda parent, path: looked_at)
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
