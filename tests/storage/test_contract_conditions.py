"""What `app.storage.base` promises of versions, and to many who write at once, for every backend alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from app.errors import PathConflict, PreconditionFailed
from app.storage.entry import Precondition
from tests.storage.conftest import Store
from tests.support.artifacts import path, put


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
