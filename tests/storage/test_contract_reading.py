"""What `app.storage.base` promises of downloads and listings, for every backend alike."""

from __future__ import annotations

import pytest

from app.errors import ArtifactIsDirectory, ArtifactNotFound
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.ranges import ByteRange, RangeNotSatisfiable, Span
from tests.storage.conftest import LARGE, LocalStore, Store
from tests.support.artifacts import get, names, path, paths, put


class TestRead:
    def test_missing_fails_at_once(self, store: Store) -> None:
        put(store.storage, "a")
        for missing in ("b", "a/b", "c/d/e"):
            with pytest.raises(ArtifactNotFound):
                store.storage.read(path(missing))
            with pytest.raises(ArtifactNotFound):
                store.storage.stat(path(missing))

    def test_of_a_directory_fails_at_once(self, store: Store) -> None:
        put(store.storage, "a/b")
        with pytest.raises(ArtifactIsDirectory):
            store.storage.read(path("a"))
        assert store.storage.stat(path("a")) == Entry(path("a"), is_dir=True)

    @pytest.mark.parametrize(
        ("wanted", "span"),
        [
            (ByteRange(0, 0), Span(0, 1)),
            (ByteRange(3, 6), Span(3, 7)),
            (ByteRange(3, None), Span(3, 10)),
            (ByteRange(3, 10**30), Span(3, 10)),
            (ByteRange(None, 4), Span(6, 10)),
            (ByteRange(None, 10**30), Span(0, 10)),
        ],
    )
    def test_of_a_range_gives_just_that(self, store: Store, wanted: ByteRange, span: Span) -> None:
        put(store.storage, "a", b"0123456789")
        download = store.storage.read(path("a"), wanted)
        assert download.span == span
        assert download.entry.size == 10
        assert b"".join(download) == b"0123456789"[span.start : span.stop]
        download.close()

    def test_of_a_range_over_several_chunks_gives_just_that(self, store: Store) -> None:
        put(store.storage, "a", LARGE)
        assert get(store.storage, "a", ByteRange(1000, 4_000_000)) == LARGE[1000:4_000_001]

    @pytest.mark.parametrize("wanted", [ByteRange(10, None), ByteRange(10**30, None), ByteRange(None, 0)])
    def test_of_a_range_outside_fails_at_once_and_tells_the_size(
        self, store: Store, wanted: ByteRange
    ) -> None:
        put(store.storage, "a", b"0123456789")
        with pytest.raises(RangeNotSatisfiable) as caught:
            store.storage.read(path("a"), wanted)
        assert caught.value.entry.size == 10

    def test_gives_one_version_even_if_it_is_replaced_and_deleted_meanwhile(self, store: Store) -> None:
        put(store.storage, "a", LARGE)
        download = store.storage.read(path("a"))
        first = next(download)
        put(store.storage, "a", b"new")
        store.storage.delete(path("a"))
        assert first + b"".join(download) == LARGE
        download.close()


class TestEntry:
    def test_only_of_a_directory_says_that_it_is_no_artifact(self, store: Store) -> None:
        put(store.storage, "d/a")
        store.storage.stat(path("d/a")).require_artifact()
        [listed] = store.storage.list(path("d"))
        listed.require_artifact()
        [directory] = store.storage.list(ArtifactPath())
        for entry in (directory, store.storage.stat(path("d"))):
            with pytest.raises(ArtifactIsDirectory, match="'d' is a directory; list it"):
                entry.require_artifact()


class TestList:
    def test_gives_one_level_sorted_by_name(self, store: Store) -> None:
        for name in ("b", "a/x", "a/y/z", "a-b", "a.b", "B", "é"):
            put(store.storage, name)
        assert names(store.storage) == ["B", "a", "a-b", "a.b", "b", "é"]
        assert names(store.storage, "a") == ["x", "y"]
        assert [e.is_dir for e in store.storage.list(path("a"))] == [False, True]

    def test_of_a_file_a_missing_and_an_emptied_directory_is_nothing(self, store: Store) -> None:
        put(store.storage, "file")
        put(store.storage, "d/a")
        store.storage.delete(path("d/a"))
        for directory in ("file", "missing", "missing/deeper", "file/below", "d"):
            assert names(store.storage, directory) == []
            assert paths(store.storage, directory) == []
        assert names(store.storage) == ["file"]

    def test_recursive_gives_artifacts_at_any_depth_sorted_by_path(self, store: Store) -> None:
        artifacts = ["a-b", "a.b/x", "a/b/c", "a/b/d", "a/c", "a0", "b/x"]
        for name in artifacts:
            put(store.storage, name)
        assert paths(store.storage) == sorted(artifacts)
        assert paths(store.storage, "a") == ["a/b/c", "a/b/d", "a/c"]

    def test_goes_on_behind_any_entry(self, store: Store) -> None:
        artifacts = sorted(["a-b", "a.b/x", "a/b/c", "a/b/d", "a/c", "a0", "b/x"])
        for name in artifacts:
            put(store.storage, name)
        for number, last in enumerate(artifacts):
            assert paths(store.storage, after=last) == artifacts[number + 1 :]
        level = names(store.storage)
        for number, last in enumerate(level):
            assert names(store.storage, after=last) == level[number + 1 :]
        assert paths(store.storage, "a", after="b/c") == ["a/b/d", "a/c"]

    def test_goes_on_behind_an_entry_that_was_deleted_meanwhile(self, store: Store) -> None:
        for name in ("a", "b/x", "c"):
            put(store.storage, name)
        store.storage.delete(path("b"))
        assert names(store.storage, after="b") == ["c"]
        assert paths(store.storage, after="b/x") == ["c"]

    def test_leaves_out_what_is_no_artifact(self, store: Store) -> None:
        foreign = store.put_foreign()
        put(store.storage, "foreign/mine")
        assert foreign
        assert names(store.storage, "foreign") == ["mine"]
        assert paths(store.storage, "foreign") == ["foreign/mine"]

    def test_hides_uploads_and_the_servers_own_names(self, store: Store) -> None:
        with store.storage.create(path("a")) as upload:
            upload.write(LARGE)
            upload.write(b"x")
            assert store.leftovers()
            assert names(store.storage) == paths(store.storage) == []


class TestPlainFiles:
    def test_where_they_are_promised_each_artifact_is_one_at_its_own_path(self, store: Store) -> None:
        assert store.storage.plain_files is isinstance(store, LocalStore)
        for name in ("a", "d/é #%41"):
            put(store.storage, name, name.encode())
            if isinstance(store, LocalStore):
                assert (store.root / name).read_bytes() == name.encode()
