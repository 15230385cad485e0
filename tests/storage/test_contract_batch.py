"""What `app.storage.base` promises of batches, for every backend alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import pytest

from app.errors import ArtifactNotFound, PathConflict, PreconditionFailed
from app.storage.base import Published
from app.storage.entry import Precondition
from tests.storage.conftest import LARGE, Store
from tests.support.artifacts import get, judge, names, path, paths, put, stage

T = TypeVar("T")

DATA = {"d/large": LARGE + b"x", "d/small": b"a", "e/empty": b"", "top": b"data"}
NEW = Precondition(none_match="*")
MANY = 14
AHEAD = 12
"""No storage publishes so many before it has told of them."""


def refused(published: list[Published]) -> dict[str, type[Exception]]:
    """Those that failed, and how."""
    return {str(one.path): type(one.error) for one in published if one.error is not None}


class TestBatch:
    def test_is_invisible_until_it_is_published_and_then_all_there(self, store: Store) -> None:
        put(store.storage, "top", b"old")
        with closing(store.another()) as another, store.storage.batch() as batch:
            for name, data in DATA.items():
                stage(batch, name, data)
            judge(batch)
            assert store.raw() == {"top": b"old"}
            for storage in (store.storage, another):
                assert paths(storage) == ["top"]
                assert names(storage, "d") == []
                with pytest.raises(ArtifactNotFound):
                    storage.stat(path("d/small"))
                with pytest.raises(ArtifactNotFound):
                    storage.read(path("e/empty"))
            assert len(list(batch.publish())) == len(DATA)
            assert paths(another) == sorted(DATA)
        assert store.raw() == DATA
        assert store.leftovers() == []

    def test_tells_of_each_in_its_order_what_came_of_it(self, store: Store) -> None:
        put(store.storage, "top", b"old")
        with store.storage.batch() as batch:
            for name, data in DATA.items():
                entry = stage(batch, name, data)
                assert (entry.path, entry.size, entry.is_dir) == (path(name), len(data), False)
            published = list(batch.publish())
            batch.abort()
        assert [str(one.path) for one in published] == list(DATA)
        assert [one.created for one in published] == [True, True, True, False]
        assert [one.error for one in published] == [None] * len(DATA)
        for one in published:
            entry = store.storage.stat(one.path)
            assert one.entry in (entry, dataclasses.replace(entry, modified=None))

    def test_of_nothing_publishes_nothing(self, store: Store) -> None:
        with store.storage.batch() as batch:
            judge(batch)
            assert list(batch.publish()) == []
        assert store.raw() == {}
        assert store.leftovers() == []

    def test_has_an_upload_in_pieces_of_any_size(self, store: Store) -> None:
        with store.storage.batch() as batch:
            with batch.create(path("a")) as upload:
                for pieces in ((b"", b"one"), (), (LARGE, b"two"), (LARGE,)):
                    upload.write(*pieces)
                assert upload.commit().size == 2 * len(LARGE) + 6
            assert refused(list(batch.publish())) == {}
        assert store.raw() == {"a": b"one" + LARGE + b"two" + LARGE}

    def test_is_used_by_one_thread_after_the_other(self, store: Store) -> None:
        def elsewhere(call: Callable[[], T]) -> T:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(call).result()

        batch = elsewhere(store.storage.batch)
        for name, data in DATA.items():
            upload = elsewhere(lambda name=name: batch.create(path(name)))  # type: ignore[misc]  # a default is none of its arguments
            elsewhere(lambda upload=upload, data=data: upload.write(data))  # type: ignore[misc]  # neither here
            elsewhere(upload.commit)
        judging = elsewhere(batch.judge)
        for _ in DATA:
            elsewhere(lambda: next(judging))
        assert elsewhere(lambda: next(judging, "the end")) == "the end"
        publishing = batch.publish()
        for name in DATA:
            told = elsewhere(lambda: next(publishing))
            assert (str(told.path), told.error) == (name, None)
        elsewhere(batch.abort)
        assert store.raw() == DATA
        assert store.leftovers() == []

    def test_may_be_left_between_two_steps_of_its_judgement(self, store: Store) -> None:
        with store.storage.batch() as batch:
            for name, data in DATA.items():
                stage(batch, name, data)
            judging = batch.judge()
            next(judging)
            del judging
        assert store.raw() == {}
        assert store.leftovers() == []

    def test_takes_a_path_again_whose_upload_failed(self, store: Store) -> None:
        with store.storage.batch() as batch:
            with batch.create(path("a")) as upload:
                upload.write(LARGE, b"failed")
            left_open = batch.create(path("b"))
            left_open.write(LARGE)
            stage(batch, "a", b"second")
            stage(batch, "b", b"third")
            assert [str(one.path) for one in batch.publish()] == ["a", "b"]
        assert store.raw() == {"a": b"second", "b": b"third"}
        assert store.leftovers() == []


class TestAbort:
    def test_leaves_nothing_and_the_old_artifacts(self, store: Store) -> None:
        put(store.storage, "top", b"old")
        batch = store.storage.batch()
        for name, data in DATA.items():
            stage(batch, name, data)
        unfinished = batch.create(path("unfinished"))
        unfinished.write(LARGE, b"x")
        batch.abort()
        batch.abort()
        unfinished.abort()
        with pytest.raises(ValueError, match="over"):
            batch.create(path("b"))
        assert list(batch.publish()) == []
        assert store.raw() == {"top": b"old"}
        assert store.leftovers() == []
        assert names(store.storage) == ["top"]

    def test_is_what_leaving_the_block_does(self, store: Store) -> None:
        def fill() -> None:
            with store.storage.batch() as batch:
                stage(batch, "a")
                batch.create(path("b")).write(LARGE, b"x")
                stage(batch, "a")

        with pytest.raises(ValueError, match="already"):
            fill()
        assert store.raw() == {}
        assert store.leftovers() == []

    def test_after_a_part_was_published_leaves_the_rest_out_but_for_a_few(self, store: Store) -> None:
        wanted = [f"{number:02}" for number in range(MANY)]
        with store.storage.batch() as batch:
            for name in wanted:
                stage(batch, name)
            publishing = batch.publish()
            assert [str(next(publishing).path) for _ in range(2)] == wanted[:2]
        there = paths(store.storage)
        assert there[:2] == wanted[:2]
        assert set(there) <= set(wanted[:AHEAD])
        assert store.leftovers() == []


class TestConflicts:
    def test_are_refused_before_the_body(self, store: Store) -> None:
        put(store.storage, "a")
        put(store.storage, "d/b")
        with store.storage.batch() as batch:
            for wrong in ("a/x", "d"):
                with pytest.raises(PathConflict):
                    batch.create(path(wrong))
            with pytest.raises(PreconditionFailed):
                batch.create(path("a"), precondition=NEW)
            assert list(batch.publish()) == []
        assert store.raw() == {"a": b"data", "d/b": b"data"}
        assert store.leftovers() == []

    @pytest.mark.parametrize("wrong", ["a/x", "d"])
    def test_that_came_meanwhile_are_seen_without_a_change_and_spare_the_others(
        self, store: Store, wrong: str
    ) -> None:
        with store.storage.batch() as batch:
            for name in ("first", wrong, "last"):
                stage(batch, name, b"new")
            judge(batch)
            put(store.storage, "a", b"meanwhile")
            put(store.storage, "d/b", b"meanwhile")
            with pytest.raises(PathConflict):
                judge(batch)
            assert paths(store.storage) == ["a", "d/b"]
            published = list(batch.publish())
        assert refused(published) == {wrong: PathConflict}
        assert [one.created for one in published] == [True, False, True]
        assert [one.entry is None for one in published] == [False, True, False]
        assert store.raw() == {"a": b"meanwhile", "d/b": b"meanwhile", "first": b"new", "last": b"new"}
        assert store.leftovers() == []

    def test_within_a_batch_are_a_matter_of_one_of_both(self, store: Store) -> None:
        with store.storage.batch() as batch:
            stage(batch, "a", b"file")
            stage(batch, "a/b", b"below")
            published = list(batch.publish())
        assert list(refused(published).values()) == [PathConflict]
        assert len(store.raw()) == 1
        assert store.leftovers() == []


class TestPreconditions:
    def test_create_only_holds_when_it_is_published(self, store: Store) -> None:
        with store.storage.batch() as batch:
            for name in ("a", "b", "c"):
                stage(batch, name, b"mine", NEW)
            judge(batch)
            put(store.storage, "b", b"other's")
            with pytest.raises(PreconditionFailed):
                judge(batch)
            published = list(batch.publish())
        assert refused(published) == {"b": PreconditionFailed}
        assert store.raw() == {"a": b"mine", "b": b"other's", "c": b"mine"}
        assert store.leftovers() == []

    def test_of_one_version_holds_when_it_is_published(self, store: Store) -> None:
        etags = {name: put(store.storage, name, b"old").etag or "" for name in ("a", "b")}
        with store.storage.batch() as batch:
            for name, etag in etags.items():
                stage(batch, name, b"mine", Precondition(match=frozenset({etag})))
            put(store.storage, "a", b"other's")
            published = list(batch.publish())
        assert refused(published) == {"a": PreconditionFailed}
        assert store.raw() == {"a": b"other's", "b": b"mine"}
        assert store.leftovers() == []

    def test_of_many_batches_that_create_one_artifact_exactly_one_succeeds(self, store: Store) -> None:
        def attempt(number: int) -> int:
            with store.storage.batch() as batch:
                stage(batch, f"own/{number}")
                stage(batch, "shared", b"%d" % number, NEW)
                return len(refused(list(batch.publish())))

        with ThreadPoolExecutor(3) as pool:
            batches = [pool.submit(attempt, number) for number in range(3)]
        outcomes = [one.exception() or one.result() for one in batches]
        # One that comes late is refused before its body.
        assert outcomes.count(0) == 1
        assert all(outcome in (0, 1) or isinstance(outcome, PreconditionFailed) for outcome in outcomes)
        assert get(store.storage, "shared") == b"%d" % outcomes.index(0)
        assert store.leftovers() == []


class TestUpkeep:
    def test_sweep_spares_live_batches(self, store: Store) -> None:
        with closing(store.another()) as another, store.storage.batch() as batch:
            stage(batch, "a", LARGE)
            upload = batch.create(path("b"))
            upload.write(b"li")
            assert store.storage.sweep() == another.sweep() == 0
            upload.write(b"ve")
            upload.commit()
            for _ in batch.judge():
                assert store.storage.sweep() == another.sweep() == 0
            publishing = batch.publish()
            assert next(publishing).error is None
            assert store.storage.sweep() == another.sweep() == 0
            assert next(publishing).error is None
        assert store.raw() == {"a": LARGE, "b": b"live"}
