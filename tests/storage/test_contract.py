"""What `app.storage.base` promises, for every backend alike."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import ArtifactIsDirectory, ArtifactNotFound, PathConflict, PreconditionFailed
from app.storage.base import ByteRange, Entry, Precondition, RangeNotSatisfiable, Span
from tests.storage.conftest import Store
from tests.support.artifacts import get, names, path, paths, put

LARGE = bytes(range(256)) * 4096 * 5  # 5 MiB: several chunks


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


class TestPreconditions:
    NONE = Precondition(none_match="*")

    def test_create_only_succeeds_once(self, store: Store) -> None:
        put(store.storage, "a", b"first", self.NONE)
        with pytest.raises(PreconditionFailed):
            put(store.storage, "a", b"second", self.NONE)
        assert store.raw() == {"a": b"first"}

    def test_an_etag_that_matches_lets_replace_and_delete(self, store: Store) -> None:
        etag = put(store.storage, "a").etag
        assert etag
        second = put(store.storage, "a", b"new", Precondition(match=frozenset({"other", etag})))
        assert second.etag
        store.storage.delete(path("a"), precondition=Precondition(match=frozenset({second.etag})))
        assert store.raw() == {}

    def test_an_etag_of_another_version_lets_neither(self, store: Store) -> None:
        old = put(store.storage, "a").etag
        assert old
        put(store.storage, "a", b"new")
        stale = Precondition(match=frozenset({old}))
        with pytest.raises(PreconditionFailed):
            put(store.storage, "a", b"mine", stale)
        with pytest.raises(PreconditionFailed):
            store.storage.delete(path("a"), precondition=stale)
        assert store.raw() == {"a": b"new"}

    def test_match_any_wants_an_artifact(self, store: Store) -> None:
        with pytest.raises(PreconditionFailed):
            put(store.storage, "a", b"x", Precondition(match="*"))
        put(store.storage, "a")
        put(store.storage, "a", b"new", Precondition(match="*"))
        assert store.raw() == {"a": b"new"}

    def test_is_judged_before_the_body_and_again_at_commit(self, store: Store) -> None:
        upload = store.storage.create(path("a"), precondition=self.NONE)
        put(store.storage, "a", b"other")
        with pytest.raises(PreconditionFailed):
            upload.commit()
        with pytest.raises(PreconditionFailed):
            store.storage.create(path("a"), precondition=self.NONE)
        assert store.raw() == {"a": b"other"}
        assert store.leftovers() == []

    def test_of_many_creators_exactly_one_succeeds(self, store: Store) -> None:
        uploads = [store.storage.create(path("a"), precondition=self.NONE) for _ in range(50)]
        for number, upload in enumerate(uploads):
            upload.write(b"%d" % number)

        def commit(number: int) -> int | None:
            try:
                uploads[number].commit()
            except PreconditionFailed:
                return None
            return number

        with ThreadPoolExecutor(16) as pool:
            winners = [number for number in pool.map(commit, range(50)) if number is not None]
        assert len(winners) == 1
        assert store.raw() == {"a": b"%d" % winners[0]}
        assert store.leftovers() == []

    def test_of_many_replacers_of_one_version_exactly_one_succeeds(self, store: Store) -> None:
        etag = put(store.storage, "a").etag
        assert etag

        def replace(number: int) -> bool:
            try:
                put(store.storage, "a", b"%d" % number, Precondition(match=frozenset({etag})))
            except PreconditionFailed:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(replace, range(50))) == 1

    def test_unmodified_since_protects_a_newer_artifact(self, store: Store) -> None:
        put(store.storage, "a")
        long_ago = Precondition(unmodified_since=datetime(2001, 1, 1, tzinfo=UTC))
        with pytest.raises(PreconditionFailed):
            put(store.storage, "a", b"new", long_ago)
        soon = datetime.now(UTC) + timedelta(minutes=1)
        put(store.storage, "a", b"new", Precondition(unmodified_since=soon))
        assert store.raw() == {"a": b"new"}


class TestETag:
    def test_changes_with_every_replacement_by_other_bytes(self, store: Store) -> None:
        etags = [put(store.storage, "a", b"%d" % number).etag for number in range(50)]
        assert len(set(etags)) == len(etags)

    def test_is_the_same_everywhere(self, store: Store) -> None:
        etag = put(store.storage, "d/a").etag
        download = store.storage.read(path("d/a"))
        download.close()
        [listed] = store.storage.list(path("d"))
        assert {etag, download.entry.etag, listed.etag, store.storage.stat(path("d/a")).etag} == {etag}


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


class TestRaces:
    def test_uploads_and_deletions_of_one_tree_never_fail(self, store: Store) -> None:
        def work(number: int) -> None:
            if number % 3 == 0:
                store.storage.delete(path("a"))
            elif number % 3 == 1:
                store.storage.delete(path(f"a/b/c/{number % 4}"))
            else:
                put(store.storage, f"a/b/c/{number % 4}", b"%d" % number)

        with ThreadPoolExecutor(12) as pool:
            for _ in pool.map(work, range(300)):
                pass
        assert store.leftovers() == []
        for name, data in store.raw().items():
            assert name.startswith("a/b/c/")
            assert data.isdigit()

    def test_concurrent_uploads_to_one_path_leave_one_of_them_whole(self, store: Store) -> None:
        bodies = [bytes([number]) * 100_000 for number in range(40)]
        with ThreadPoolExecutor(12) as pool:
            for _ in pool.map(lambda body: put(store.storage, "d/a", body), bodies):
                pass
        assert store.raw()["d/a"] in bodies
        assert store.leftovers() == []

    def test_an_artifact_and_one_below_it_exclude_each_other_as_a_conflict(self, store: Store) -> None:
        def attempt(name: str) -> str | None:
            try:
                put(store.storage, name)
            except PathConflict:
                return None
            return name

        with ThreadPoolExecutor(2) as pool:
            for _ in range(100):
                stored = set(pool.map(attempt, ("a", "a/b"))) - {None}
                assert set(store.raw()) == stored
                assert len(stored) == 1
                store.storage.delete(path("a"))

    def test_a_replacement_of_one_version_never_outlives_the_deletion_of_its_tree(self, store: Store) -> None:
        """It is stored and then deleted, or finds that version deleted: there is no third way."""

        def replace(etag: str) -> None:
            with suppress(PreconditionFailed):
                put(store.storage, "t/a", b"new", Precondition(match=frozenset({etag})))

        with ThreadPoolExecutor(2) as pool:
            for _ in range(100):
                etag = put(store.storage, "t/a").etag
                assert etag
                replacing = pool.submit(replace, etag)
                store.storage.delete(path("t"))
                replacing.result()
                assert store.raw() == {}
