"""What `app.storage.base` promises of uploads and deletions, for every backend alike."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from app.api.transfer import MAX_PIECES
from app.errors import ArtifactNotFound, PathConflict, StorageFull
from tests.storage.conftest import LARGE, LocalStore, Store
from tests.support.artifacts import get, names, path, put


class TestUpload:
    @pytest.mark.parametrize("data", [b"", b"a", LARGE], ids=["empty", "small", "large"])
    def test_is_read_back_exactly(self, store: Store, data: bytes) -> None:
        put(store.storage, "a/b/c.bin", data)
        assert get(store.storage, "a/b/c.bin") == data
        assert store.raw() == {"a/b/c.bin": data}

    def test_in_pieces_of_any_size_is_their_concatenation(self, store: Store) -> None:
        with store.storage.create(path("a")) as upload:
            for piece in (b"", b"one", b"", LARGE, b"two"):
                upload.write(piece)
            upload.commit()
        assert store.raw() == {"a": b"one" + LARGE + b"two"}

    def test_of_several_pieces_at_once_is_all_of_them_in_their_order(self, store: Store) -> None:
        pieces = [b"%d," % number for number in range(2 * MAX_PIECES)]
        pieces[1::2] = [b""] * MAX_PIECES
        with store.storage.create(path("a")) as upload:
            upload.write()
            upload.write(b"", b"")
            upload.write(LARGE, *pieces, b"")
            upload.write(b"", b"end", LARGE)
            upload.commit()
        assert store.raw() == {"a": LARGE + b"".join(pieces) + b"end" + LARGE}

    def test_is_invisible_until_commit_returns(self, store: Store) -> None:
        with store.storage.create(path("d/a")) as upload:
            upload.write(LARGE)
            assert store.raw() == {}
            assert names(store.storage) == []
            with pytest.raises(ArtifactNotFound):
                store.storage.stat(path("d/a"))
            upload.commit()
        assert names(store.storage, "d") == ["a"]

    def test_left_without_commit_leaves_nothing(self, store: Store) -> None:
        with store.storage.create(path("d/a")) as upload:
            upload.write(LARGE)
        assert store.raw() == {}
        assert store.leftovers() == []
        assert names(store.storage) == []

    def test_that_is_aborted_spares_the_artifact_it_would_have_replaced(self, store: Store) -> None:
        put(store.storage, "a", b"old")
        before = store.storage.stat(path("a"))
        upload = store.storage.create(path("a"))
        upload.write(b"new")
        upload.abort()
        upload.abort()
        assert store.storage.stat(path("a")) == before
        assert store.raw() == {"a": b"old"}

    def test_abort_after_commit_changes_nothing(self, store: Store) -> None:
        upload = store.storage.create(path("a"))
        upload.commit()
        upload.abort()
        assert store.raw() == {"a": b""}

    def test_says_whether_it_created_the_artifact(self, store: Store) -> None:
        for expected in (True, False):
            with store.storage.create(path("a")) as upload:
                upload.commit()
            assert upload.created is expected

    def test_last_writer_wins_and_a_commit_is_whole(self, store: Store) -> None:
        uploads = [store.storage.create(path("a")) for _ in range(2)]
        for number, upload in enumerate(uploads):
            upload.write(bytes([number]) * 1000)
        for upload in reversed(uploads):
            upload.commit()
        assert store.raw() == {"a": b"\0" * 1000}

    def test_result_describes_the_artifact_as_stat_does(self, store: Store) -> None:
        earliest = datetime.now(UTC) - timedelta(seconds=2)
        result = put(store.storage, "d/a", b"12345")
        entry = store.storage.stat(path("d/a"))
        assert result in (entry, dataclasses.replace(entry, modified=None))
        assert (entry.path, entry.size, entry.is_dir) == (path("d/a"), 5, False)
        assert entry.modified is not None
        assert earliest < entry.modified < datetime.now(UTC) + timedelta(seconds=2)

    @pytest.mark.parametrize(
        "name",
        [
            "a b+c&d;e?f'g\"h#i",
            "%20",
            "CON",
            "a.",
            "a:b",
            "A",
            "🎉",
            "é",
            "\u200bzero",
            "שלום",
            "x" * 255,
        ],
    )
    def test_keeps_every_legal_name_exactly(self, store: Store, name: str) -> None:
        put(store.storage, f"d/{name}")
        assert names(store.storage, "d") == [name]
        assert get(store.storage, f"d/{name}") == b"data"
        store.storage.delete(path(f"d/{name}"))
        assert store.raw() == {}

    def test_names_that_differ_only_in_unicode_form_or_case_are_different(self, store: Store) -> None:
        different = ["A", "a", "e\u0301", "\u00e9"]
        for name in different:
            put(store.storage, name, name.encode())
        assert names(store.storage) == different
        assert [get(store.storage, name) for name in different] == [name.encode() for name in different]


class TestConflicts:
    def test_a_parent_that_is_a_file_is_refused_before_the_body(self, store: Store) -> None:
        put(store.storage, "a")
        for below in ("a/b", "a/b/c"):
            with pytest.raises(PathConflict):
                store.storage.create(path(below))
        assert store.raw() == {"a": b"data"}
        assert store.leftovers() == []

    def test_a_directory_with_content_is_refused_before_the_body(self, store: Store) -> None:
        put(store.storage, "a/b/c")
        for above in ("a", "a/b"):
            with pytest.raises(PathConflict):
                store.storage.create(path(above))
        assert store.raw() == {"a/b/c": b"data"}

    def test_a_conflict_that_came_during_the_upload_leaves_nothing(self, store: Store) -> None:
        upload = store.storage.create(path("a"))
        below = store.storage.create(path("b/c"))
        put(store.storage, "a/x")
        put(store.storage, "b")
        for late in (upload, below):
            with pytest.raises(PathConflict):
                late.commit()
        assert store.raw() == {"a/x": b"data", "b": b"data"}
        assert store.leftovers() == []

    def test_a_directory_whose_content_was_deleted_is_in_nobodys_way(self, store: Store) -> None:
        put(store.storage, "a/b/c")
        store.storage.delete(path("a/b/c"))
        put(store.storage, "a")
        assert store.raw() == {"a": b"data"}


class TestDelete:
    def test_of_an_artifact_removes_it_alone(self, store: Store) -> None:
        for name in ("a/b", "a/c"):
            put(store.storage, name)
        store.storage.delete(path("a/b"))
        assert store.raw() == {"a/c": b"data"}

    def test_of_a_directory_removes_the_tree_by_whole_segments(self, store: Store) -> None:
        for name in ("ab/1", "ab/c/2", "abc", "abd/3", "a"):
            put(store.storage, name)
        store.storage.delete(path("ab"))
        assert sorted(store.raw()) == ["a", "abc", "abd/3"]

    def test_of_what_is_missing_is_no_error(self, store: Store) -> None:
        put(store.storage, "a")
        for missing in ("b", "b/c", "a/b"):
            store.storage.delete(path(missing))
        assert store.raw() == {"a": b"data"}

    def test_takes_the_directories_along_that_it_empties(self, store: Store) -> None:
        put(store.storage, "a/b/c/d")
        put(store.storage, "a/x")
        store.storage.delete(path("a/b/c/d"))
        assert names(store.storage, "a") == ["x"]
        store.storage.delete(path("a/x"))
        assert names(store.storage) == []


class TestUpkeep:
    def test_check_finds_a_usable_root_usable_and_leaves_nothing(self, store: Store) -> None:
        put(store.storage, "probe/x")
        store.storage.check()
        assert store.raw() == {"probe/x": b"data"}
        assert store.leftovers() == []

    def test_sweep_spares_live_uploads(self, store: Store) -> None:
        with store.storage.create(path("a")) as upload:
            upload.write(LARGE)
            upload.write(b"live")
            assert store.storage.sweep() == 0
            upload.commit()
        assert store.raw() == {"a": LARGE + b"live"}


class TestRoom:
    def test_is_told_where_uploads_are_refused_beyond_it(self, store: Store) -> None:
        room = store.storage.room()
        assert (room is None) is not isinstance(store, LocalStore)
        if room is not None:
            assert 0 < room.left < room.free
            with pytest.raises(StorageFull):
                store.storage.create(path("a"), size=room.free + 1)
        assert store.leftovers() == []
