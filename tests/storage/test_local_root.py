"""The local root itself: how it is named, lost and found, and which one is refused."""

from __future__ import annotations

import errno
import itertools
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from app.errors import StorageError, StorageUnavailable
from app.paths import ArtifactPath
from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.storage.conftest import opened
from tests.support.artifacts import get, names, path, put


@contextmanager
def late(
    place: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> Iterator[list[Path]]:
    """Has somebody else `make` something at `place` right after the first look at it, which found nothing."""
    looks: list[Path] = []
    is_dir = Path.is_dir

    def look(self: Path, **options: bool) -> bool:
        found = is_dir(self, **options)
        if self == place and not looks:
            assert not found
            looks.append(self)
            make(place)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_dir", look)
        yield looks


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

    @pytest.mark.parametrize("lost", ["root", "root/.artifact-proxy"])
    def test_that_another_server_makes_at_the_same_moment_is_shared_with_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, lost: str
    ) -> None:
        """It looked missing, and then it was there."""
        with late(root.parent / lost, monkeypatch, lambda place: place.mkdir()) as looks:
            storage = opened(root)
        assert looks
        put(storage, "a")
        assert get(opened(root), "a") == b"data"

    @pytest.mark.parametrize("lost", ["root", "root/.artifact-proxy"])
    def test_in_whose_place_a_file_appears_at_the_same_moment_is_refused(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, lost: str
    ) -> None:
        place = root.parent / lost
        with (
            late(place, monkeypatch, lambda place: place.write_bytes(b"mine")) as looks,
            pytest.raises(ValueError, match=f"^{re.escape(repr(str(place)))} is not a directory; name one$"),
        ):
            opened(root)
        assert looks
        assert place.read_bytes() == b"mine"

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


def test_the_sibling_of_the_root_is_out_of_reach(root: Path, storage: LocalStorage) -> None:
    evil = root.with_name(root.name + "-evil")
    evil.mkdir()
    (evil / "x").write_bytes(b"x")
    put(storage, "a")
    assert names(storage) == ["a"]


def test_directories_that_others_made_are_kept(root: Path, storage: LocalStorage) -> None:
    (root / "team" / "private").mkdir(parents=True)
    storage.create(path("team/private/a")).abort()
    storage.delete(path("team/private/missing"))
    assert (root / "team" / "private").is_dir()


class TestETag:
    def test_changes_with_every_replacement_even_by_the_same_bytes(self, storage: LocalStorage) -> None:
        etags = [put(storage, "a", b"same").etag for _ in range(50)]
        assert len(set(etags)) == len(etags)


class TestRehearsal:
    STEPS = ("list", "write", "read back", "delete")

    def test_names_each_step_and_leaves_nothing(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "d/a")
        assert tuple(storage.rehearse()) == self.STEPS
        assert names(storage) == ["d"]
        assert os.listdir(root / ".artifact-proxy" / "staging") == []

    @pytest.mark.parametrize("steps", range(1, len(STEPS) + 1))
    def test_leaves_nothing_either_where_it_is_given_up(
        self, root: Path, storage: LocalStorage, steps: int
    ) -> None:
        rehearsal = storage.rehearse()
        assert tuple(itertools.islice(rehearsal, steps)) == self.STEPS[:steps]
        cast(Generator[str], rehearsal).close()
        staging = root / ".artifact-proxy" / "staging"
        assert not staging.exists() or os.listdir(staging) == []

    def test_of_a_root_that_is_only_read_writes_nothing(self, root: Path, storage: LocalStorage) -> None:
        put(storage, "a")
        shutil.rmtree(root / ".artifact-proxy")
        assert list(opened(root, read_only=True).rehearse()) == ["list"]
        assert os.listdir(root) == ["a"]

    @pytest.mark.parametrize(
        ("call", "done"), [("listdir", 0), ("write", 1), ("fsync", 1), ("pread", 2), ("unlink", 0)]
    )
    def test_ends_with_the_step_that_fails(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, call: str, done: int
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO), "/srv/secret/place")

        monkeypatch.setattr(os, call, fail)
        rehearsal = storage.rehearse()
        assert tuple(itertools.islice(rehearsal, done)) == self.STEPS[:done]
        with pytest.raises(StorageError) as caught:
            next(rehearsal)
        monkeypatch.undo()
        assert "secret" not in str(caught.value)
        if call != "unlink":  # else it is left to the sweeper
            staging = root / ".artifact-proxy" / "staging"
            assert not staging.exists() or os.listdir(staging) == []

    def test_notices_bytes_that_come_back_changed(
        self, root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "pread", lambda *_: b"probf")
        with pytest.raises(StorageError, match="other bytes"):
            list(storage.rehearse())
        assert os.listdir(root / ".artifact-proxy" / "staging") == []

    def test_of_a_root_that_is_lost_is_unavailable(self, root: Path, storage: LocalStorage) -> None:
        root.rename(root.with_name("elsewhere"))
        with pytest.raises(StorageUnavailable):
            next(storage.rehearse())
        assert not root.exists()
