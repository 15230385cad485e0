"""Reads of a local root on the event loop: only of what is in memory, and of nothing but artifacts."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest

from app.errors import StorageError
from app.paths import ArtifactPath
from app.storage.local import LocalStorage
from app.storage.local.cached import CachedFiles, _read_cached
from app.storage.local.download import CHUNK_BYTES
from app.storage.local.tree import Tree
from app.storage.ranges import ByteRange
from tests.storage.conftest import opened
from tests.support.artifacts import path, put

DATA = bytes(range(256)) * 5000


@pytest.fixture
def root() -> Iterator[Path]:
    """In memory, as any other file system may not be one that is known."""
    with TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory) / "root"


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With which flags anything below a root is opened."""
    flags: list[int] = []
    plain = CachedFiles._open

    def noted(self: CachedFiles, parent: int, name: bytes, flag: int, resolve: int) -> int | None:
        flags.append(flag)
        return plain(self, parent, name, flag, resolve)

    monkeypatch.setattr(CachedFiles, "_open", noted)
    return flags


@pytest.fixture
def nothing_leaks() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


pytestmark = pytest.mark.usefixtures("nothing_leaks")


def only_looked_at(tried: list[int]) -> bool:
    return bool(tried) and all(flags & os.O_PATH for flags in tried)


class TestWhatIsInMemory:
    @pytest.mark.parametrize("at", ["a", "d/e/f/a", "d/" * 60 + "a", "d/é 日本 #%41"])
    def test_is_read_at_once(self, storage: LocalStorage, at: str) -> None:
        put(storage, at, DATA)
        download = storage.read_at_once(path(at))
        assert download is not None
        with closing(download):
            chunks = list(iter(download.next_at_once, b""))
            assert b"".join(chunk or b"" for chunk in chunks) == DATA
            assert len(chunks) == -(-len(DATA) // CHUNK_BYTES)

    def test_is_read_by_ranges(self, storage: LocalStorage) -> None:
        put(storage, "a", DATA)
        download = storage.read_at_once(path("a"), ByteRange(1000, 1999))
        assert download is not None
        with closing(download):
            assert [download.next_at_once(), download.next_at_once()] == [DATA[1000:2000], b""]

    def test_and_cut_short_meanwhile_is_left_to_a_thread_which_says_so(
        self, root: Path, storage: LocalStorage
    ) -> None:
        put(storage, "a", DATA)
        download = storage.read_at_once(path("a"))
        assert download is not None
        with closing(download):
            assert download.next_at_once()
            os.truncate(root / "a", CHUNK_BYTES + 1000)
            assert download.next_at_once() == DATA[CHUNK_BYTES : CHUNK_BYTES + 1000]
            assert download.next_at_once() is None
            with pytest.raises(StorageError, match="cut short"):
                next(download)


class TestWhatIsNot:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "root"

    def test_is_left_to_a_thread(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "a", DATA)
        storage._cached = CachedFiles(Tree(root), _read_cached)
        for _ in range(20):  # a fast disk may have it at hand before it is missed
            forget(root / "a")
            with closing(storage.read(path("a"))) as download:
                first = download.next_at_once()
                assert (first or b"") + b"".join(download) == DATA
                if first is None:
                    return
        pytest.fail("the disk was waited for")

    def test_is_given_as_far_as_it_is(self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        put(storage, "a", b"0123456789")
        storage._cached = CachedFiles(storage._tree, _read_cached)

        def in_part(descriptor: int, into: list[bytearray], position: int, flags: int) -> int:
            assert flags == os.RWF_NOWAIT
            if position >= 4:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            into[0][:4] = os.pread(descriptor, 4, position)
            return 4

        monkeypatch.setattr(os, "preadv", in_part)
        with closing(storage.read(path("a"))) as download:
            assert [download.next_at_once(), download.next_at_once()] == [b"0123", None]
            assert list(download) == [b"456789"]


def forget(file: Path) -> None:
    """Takes the file's content out of memory."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


class TestWhatIsNoArtifact:
    @pytest.mark.parametrize("at", ["link", "link/a", "d/link", "d/link/a", "d/e/../../a"])
    @pytest.mark.parametrize("target", ["inside", "outside", "inside, relative"])
    def test_no_link_is_followed_at_any_depth(
        self, root: Path, storage: LocalStorage, tmp_path: Path, tried: list[int], at: str, target: str
    ) -> None:
        inside, outside = root / "real", tmp_path / "outside"
        put(storage, "real/a")
        put(storage, "d/e/a")
        outside.mkdir()
        (outside / "a").write_bytes(b"secret")
        meant = outside if target == "outside" else inside
        for link in (root / "link", root / "d" / "link"):
            leads_to = meant if at.endswith("/a") else meant / "a"
            link.symlink_to(os.path.relpath(leads_to, link.parent) if "relative" in target else leads_to)
        assert storage.read_at_once(ArtifactPath(tuple(at.split("/")))) is None
        assert only_looked_at(tried)

    @pytest.mark.parametrize("kind", ["fifo", "socket", "directory"])
    def test_nothing_special_is_opened(
        self, root: Path, storage: LocalStorage, tried: list[int], kind: str
    ) -> None:
        (root / "d").mkdir()
        make(root / "d" / "a", kind)
        assert storage.read_at_once(path("d/a")) is None
        assert only_looked_at(tried)

    def test_no_device_is_opened(
        self, root: Path, storage: LocalStorage, tried: list[int], need_root: None
    ) -> None:
        os.mknod(root / "a", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        assert storage.read_at_once(path("a")) is None
        assert only_looked_at(tried)

    @pytest.mark.parametrize("kind", ["fifo", "socket", "directory", "link", "nothing"])
    def test_what_takes_an_artifacts_place_after_the_look_is_none(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        put(storage, "a")
        plain, swaps = CachedFiles._open, []

        def swapped(self: CachedFiles, parent: int, name: bytes, flags: int, resolve: int) -> int | None:
            if not flags & os.O_PATH:
                assert flags & os.O_NONBLOCK  # else a FIFO would stop all of this process
                (root / "a").unlink()
                make(root / "a", kind)
                swaps.append(kind)
            return plain(self, parent, name, flags, resolve)

        monkeypatch.setattr(CachedFiles, "_open", swapped)
        assert storage.read_at_once(path("a")) is None
        assert swaps == [kind]

    def test_nothing_of_another_file_system_is_read(
        self, root: Path, storage: LocalStorage, tried: list[int], need_root: None
    ) -> None:
        """It may be one that asks a server far away before it opens anything."""
        put(storage, "d/a")
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "d"], check=True)
        try:
            (root / "d" / "a").write_bytes(b"mounted")
            assert storage.read_at_once(path("d/a")) is None
            assert only_looked_at(tried)
            with closing(storage.read(path("d/a"))) as download:
                assert next(download) == b"mounted"
        finally:
            subprocess.run(["umount", root / "d"], check=True)


def make(at: Path, kind: str) -> None:
    match kind:
        case "fifo":
            os.mkfifo(at)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(at))
        case "directory":
            at.mkdir()
        case "link":
            at.symlink_to("/etc/passwd")


class TestTheRoot:
    @pytest.mark.parametrize("loss", ["removed", "replaced", "replaced by a file"])
    def test_once_lost_has_nothing_to_read(self, root: Path, storage: LocalStorage, loss: str) -> None:
        put(storage, "a")
        root.rename(root.with_name("elsewhere"))
        if loss == "replaced":
            root.mkdir()
            (root / "a").write_bytes(b"other")
        elif loss == "replaced by a file":
            root.write_bytes(b"")
        assert storage.read_at_once(path("a")) is None

    @pytest.mark.parametrize(
        ("kind", "known"),
        [
            *((0x01021994, True), (0xEF53, True), (0x58465342, True)),  # tmpfs, ext4, XFS
            *((0x6969, False), (0xFF534D42, False)),  # NFS, CIFS
            *((0x794C7630, False), (0x65735546, False)),  # overlayfs, FUSE
        ],
    )
    def test_is_tried_only_where_its_file_system_is_known(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, tried: list[int], kind: int, known: bool
    ) -> None:
        monkeypatch.setattr("ctypes.CDLL", lambda _: all_of_one(kind))
        self.require_all_the_same(root, tried, is_tried=known)

    def test_is_not_tried_where_the_file_system_does_not_say_what_it_is(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, tried: list[int]
    ) -> None:
        monkeypatch.setattr("ctypes.CDLL", lambda _: all_of_one(0x01021994, failure=-1))
        self.require_all_the_same(root, tried, is_tried=False)

    def test_is_not_tried_where_python_knows_no_way(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, tried: list[int]
    ) -> None:
        monkeypatch.setattr("ctypes.CDLL", lambda _: all_of_one(0xEF53))
        monkeypatch.delattr(os, "RWF_NOWAIT")
        self.require_all_the_same(root, tried, is_tried=False)

    def test_is_left_to_a_thread_where_the_kernel_knows_no_way(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_: object) -> int:
            raise NotImplementedError("preadv2: not available on this platform")

        put(storage, "a", b"data")
        storage._cached = CachedFiles(storage._tree, _read_cached)
        monkeypatch.setattr(os, "preadv", unknown)
        with closing(storage.read(path("a"))) as download:
            assert download.next_at_once() is None
            assert list(download) == [b"data"]

    def test_is_not_tried_for_what_lies_on_another_file_system(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(storage, "a")
        assert storage._cached is not None
        monkeypatch.setattr(Tree, "device", -1)  # as if the file were on one that is mounted below the root
        with closing(storage.read(path("a"))) as download:
            assert download.next_at_once() is None
            assert next(download) == b"data"

    def test_is_not_tried_on_other_systems(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, tried: list[int]
    ) -> None:
        monkeypatch.setattr("app.storage.local.cached.sys", SimpleNamespace(platform="darwin"))
        self.require_all_the_same(root, tried, is_tried=False)

    def require_all_the_same(self, root: Path, tried: list[int], *, is_tried: bool) -> None:
        storage = opened(root)
        put(storage, "a")
        download = storage.read_at_once(path("a"))
        assert (download is not None) is bool(tried) is is_tried
        with closing(download or storage.read(path("a"))) as either:
            assert (either.next_at_once() or next(either)) == b"data"

    @pytest.mark.parametrize("opened_before", [0, 1, 2])
    def test_and_where_nothing_can_be_opened_it_is_left_to_a_thread(
        self, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, opened_before: int
    ) -> None:
        """The kernel may be too old for it, a filter may forbid it, or there may be no descriptor left."""
        put(storage, "a")
        assert storage._cached is not None
        plain, calls = storage._cached._syscall, iter(range(10))
        monkeypatch.setattr(
            storage._cached, "_syscall", lambda *given: plain(*given) if next(calls) < opened_before else -1
        )
        assert storage.read_at_once(path("a")) is None
        assert next(calls) == opened_before + 1


def all_of_one(kind: int, failure: int = 0) -> SimpleNamespace:
    """A C library to which every file system is of the same kind."""

    def statfs(at: bytes, status: list[int]) -> int:
        status[0] = kind
        return failure

    return SimpleNamespace(statfs=statfs, syscall=ctypes.PyDLL(None).syscall)
