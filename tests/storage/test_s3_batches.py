"""A batch in S3: what is staged, published and aborted, several at once, and told of in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from app.errors import NotSupported, StorageError, StorageFull, StorageUnreachable, UploadInterrupted
from app.storage.entry import Precondition
from app.storage.s3 import members, multipart
from app.storage.s3.abreast import ABREAST
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import path, stage
from tests.support.interposer_actions import answer, cut_after_forwarding, delay, hang, later
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_batches import (
    AGE,
    NAMES,
    concerns,
    judge,
    large,
    memory_used,
    outcomes,
    settle,
    stage_all,
    together,
)
from tests.support.s3_chain import PART, PREFIX, Chain, chained
from tests.support.waiting import wait_until

COMPLETION, ABORT = "CompleteMultipartUpload", "AbortMultipartUpload"


@pytest.fixture(scope="module")
def shared_chain(object_store: ObjectStore) -> Iterator[Chain]:
    bucket = object_store.make_bucket()
    with chained(object_store, bucket, s3_abandoned_upload_age=AGE) as opened:
        yield opened
    object_store.remove_bucket(bucket)


@pytest.fixture
def chain(shared_chain: Chain) -> Iterator[Chain]:
    """Without artifacts, and in the end without anything that an upload has left."""
    shared_chain.interposer.clear()
    yield shared_chain
    shared_chain.interposer.forget_rules()
    assert shared_chain.leftovers() == []
    for name in shared_chain.artifacts():
        shared_chain.storage.delete(path(name))


class TestSeveralAtOnce:
    def test_are_published_and_told_of_in_their_order(self, chain: Chain) -> None:
        chain.interposer.on(COMPLETION, together(chain, COMPLETION, len(NAMES)), times=None)
        with chain.storage.batch() as batch:
            stage_all(batch)
            assert list(outcomes(batch).items()) == [(name, None) for name in NAMES]
        assert chain.artifacts() == {name: large(name) for name in NAMES}

    def test_are_staged_beside_each_other(self, chain: Chain) -> None:
        chain.interposer.on(
            "CreateMultipartUpload", together(chain, "CreateMultipartUpload", ABREAST), times=None
        )
        with chain.storage.batch() as batch:
            stage_all(batch, [f"d/{number:02}" for number in range(ABREAST)])
            assert set(outcomes(batch).values()) == {None}

    def test_are_no_more_than_a_few(self, chain: Chain) -> None:
        running: list[int] = []

        def look(exchange: Exchange) -> None:
            begun = chain.interposer.requests("UploadPart")
            running.append(sum(request.status is None for request in begun))
            exchange.reply(exchange.forward())

        chain.interposer.on("UploadPart", look, times=None)
        with chain.storage.batch() as batch:
            stage_all(batch, [f"d/{number:02}" for number in range(3 * ABREAST)])
        assert 1 < max(running) <= ABREAST

    def test_are_aborted(self, chain: Chain) -> None:
        chain.interposer.on(ABORT, together(chain, ABORT, len(NAMES)), times=None)
        with chain.storage.batch() as batch:
            stage_all(batch)
            settle(chain, len(NAMES))
            assert len(chain.open_uploads()) == len(NAMES)
        assert chain.artifacts() == {}


class TestStaging:
    def test_gives_its_memory_back_once_all_parts_are_sent(self, chain: Chain) -> None:
        wanted = {"one part": bytes(PART), "two parts": bytes(PART + 1)}
        with chain.storage.batch() as batch:
            for name, data in wanted.items():
                stage(batch, name, data)
            settle(chain, 3)
            assert memory_used(chain) == (0, 0)
            assert set(outcomes(batch).values()) == {None}
        assert chain.artifacts() == wanted

    def test_goes_one_after_the_other_where_there_is_no_memory(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with chained(object_store, bucket, s3_upload_memory=PART) as chain, chain.storage.batch() as batch:
            stage(batch, "a", bytes(PART))
            stage(batch, "b", bytes(PART))
            assert len(chain.interposer.requests("UploadPart")) >= 1
            stage(batch, "c", b"small")
            assert outcomes(batch) == dict.fromkeys("abc")
            assert memory_used(chain) == (0, 0)

    def test_of_more_than_was_announced_is_refused_and_spares_the_others(self, chain: Chain) -> None:
        with chain.storage.batch() as batch:
            stage(batch, "a")
            with batch.create(path("b"), size=3) as upload, pytest.raises(UploadInterrupted):
                upload.write(b"four")
            assert outcomes(batch) == {"a": None}

    def test_that_finds_no_room_fails_one_of_the_next_commits_and_leaves_nothing(self, chain: Chain) -> None:
        chain.interposer.on(concerns("UploadPart", "d/2"), answer(507, "QuotaExceeded"))
        with chain.storage.batch() as batch, pytest.raises(StorageFull, match="d/2"):
            stage_all(batch, [*NAMES, *(f"e/{number}" for number in range(2 * ABREAST))])
        assert chain.artifacts() == {}

    @pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart"])
    def test_of_the_last_ones_that_fails_is_judged_and_told(self, chain: Chain, operation: str) -> None:
        chain.interposer.on(concerns(operation, NAMES[-1]), answer(507, "QuotaExceeded"))
        with chain.storage.batch() as batch:
            stage_all(batch)
            with pytest.raises(StorageFull):
                judge(batch)
            assert outcomes(batch) == dict.fromkeys(NAMES) | {NAMES[-1]: StorageFull}
            assert chain.leftovers() == []
        assert set(chain.artifacts()) == set(NAMES[:-1])

    def test_is_over_before_anything_is_published(self, chain: Chain) -> None:
        visible: list[int] = []

        def look(exchange: Exchange) -> None:
            response = exchange.forward()
            visible.append(len(chain.artifacts()))
            exchange.reply(response)

        chain.interposer.on("UploadPart", look, times=None)
        with chain.storage.batch() as batch:
            stage_all(batch)
            assert set(outcomes(batch).values()) == {None}
        assert visible == [0] * len(NAMES)

    def test_under_a_condition_that_the_store_does_not_judge_is_not_supported(
        self, second_chain: Chain
    ) -> None:
        with second_chain.storage.batch() as batch:
            stage(batch, "a", large("a"))
            stage(batch, "b", large("b"), Precondition(none_match="*"))
            with pytest.raises(NotSupported):
                judge(batch)
        assert second_chain.leftovers() == []
        assert second_chain.artifacts() == {}


class TestPublishing:
    def test_settles_an_answer_that_was_lost_by_asking(self, chain: Chain) -> None:
        rule = chain.interposer.on(concerns(COMPLETION, "d/2"), cut_after_forwarding)
        with chain.storage.batch() as batch:
            stage_all(batch)
            assert set(outcomes(batch).values()) == {None}
        assert rule.used
        assert set(chain.artifacts()) == set(NAMES)

    def test_never_takes_the_object_of_another_batch_for_its_own(self, chain: Chain) -> None:
        def lose(exchange: Exchange) -> None:
            chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}d/2", Body=b"other's")
            exchange.drain()
            exchange.reset()

        chain.interposer.on(concerns(COMPLETION, "d/2"), lose)
        with chain.storage.batch() as batch:
            stage_all(batch)
            assert outcomes(batch)["d/2"] is StorageUnreachable
        assert chain.artifacts()["d/2"] == b"other's"

    def test_aborts_nothing_of_which_nobody_can_tell(self, chain: Chain) -> None:
        chain.interposer.on(concerns(COMPLETION, "d/2"), cut_after_forwarding)
        is_look, is_completion = concerns("HeadObject", "d/2"), concerns(COMPLETION, "d/2")
        chain.interposer.on(
            lambda request: is_look(request) and any(map(is_completion, chain.interposer.requests())),
            answer(500, "InternalError"),
        )
        with chain.storage.batch() as batch:
            stage_all(batch)
            told = outcomes(batch)
        assert told == dict.fromkeys(NAMES) | {"d/2": StorageUnreachable}
        assert chain.interposer.requests(ABORT) == []
        assert chain.artifacts()["d/2"] == large("d/2")
        assert len(chain.own()) == 1
        chain.interposer.on("ListObjectsV2", later(AGE + 60))
        chain.storage.sweep()

    def test_leaves_nothing_of_what_the_store_refuses(self, chain: Chain) -> None:
        chain.interposer.on(concerns(COMPLETION, "d/2"), answer(403, "AccessDenied"))
        with chain.storage.batch() as batch:
            stage_all(batch)
            told = outcomes(batch)
            assert chain.leftovers() == []
        assert [name for name, error in told.items() if error] == ["d/2"]
        assert issubclass(cast(type, told["d/2"]), StorageError)
        assert set(chain.artifacts()) == set(NAMES) - {"d/2"}

    def test_that_ends_in_a_defect_leaves_nothing(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def break_down(*_: object) -> None:
            raise RuntimeError("made by a test")

        def publish() -> None:
            with chain.storage.batch() as batch:
                stage_all(batch)
                publisher = cast(S3Storage, chain.storage)._workshop.publisher
                monkeypatch.setattr(publisher, "prepare", break_down)
                outcomes(batch)

        with pytest.raises(RuntimeError):
            publish()
        monkeypatch.undo()
        assert chain.artifacts() == {}


class TestAbort:
    def test_leaves_the_rest_to_the_sweeper_where_the_store_is_silent(
        self, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else each of many would be waited for."""
        monkeypatch.setattr(members, "ABREAST", 2)
        with chained(object_store, bucket, s3_timeout=1) as chain:
            batch = chain.storage.batch()
            stage_all(batch)
            settle(chain, len(NAMES))
            chain.interposer.on(ABORT, hang, times=None)
            batch.abort()
            assert len(chain.interposer.requests(ABORT)) == 2
            assert len(chain.open_uploads()) == len(NAMES)
            chain.interposer.forget_rules()
            assert chain.storage.sweep() == len(NAMES)
            assert chain.leftovers() == []

    def test_does_not_wait_long(
        self, object_store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "ABORT_PATIENCE", 0.1)
        with chained(object_store, bucket, s3_timeout=1) as chain:
            batch = chain.storage.batch()
            stage_all(batch, ["a"])
            settle(chain, 1)
            chain.interposer.on(ABORT, hang)
            batch.abort()
            (unanswered,) = chain.interposer.requests(ABORT)
            assert unanswered.status is None

    def test_goes_on_when_it_is_waited_for_no_longer(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "ABORT_PATIENCE", 0)
        monkeypatch.setattr(members, "ABREAST", 1)
        batch = chain.storage.batch()
        stage_all(batch)
        settle(chain, len(NAMES))
        batch.abort()
        wait_until(lambda: chain.leftovers() == [], "all uploads are aborted")
        assert len(chain.interposer.requests(ABORT)) == len(NAMES)

    def test_keeps_from_the_store_what_was_not_begun(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(members, "ABORT_PATIENCE", 0)
        free = threading.Event()
        senders = cast(S3Storage, chain.storage)._workshop.senders
        busy = [senders.submit(free.wait) for _ in range(senders._max_workers)]
        try:
            with chain.storage.batch() as batch:
                stage_all(batch)
        finally:
            free.set()
        assert all(one.result() for one in busy)
        wait_until(lambda: memory_used(chain) == (0, 0), "nothing waits to be sent")
        assert chain.interposer.requests("CreateMultipartUpload") == []

    def test_comes_to_the_store_only_when_no_part_is_on_its_way(self, chain: Chain) -> None:
        running: list[Request] = []

        def abort(exchange: Exchange) -> None:
            running.extend(part for part in chain.interposer.requests("UploadPart") if part.status is None)
            exchange.reply(exchange.forward())

        chain.interposer.on("UploadPart", delay(0.5), times=None)
        chain.interposer.on(ABORT, abort, times=None)
        batch = chain.storage.batch()
        stage_all(batch)
        parts = chain.interposer.requests
        wait_until(lambda: len(parts("UploadPart")) == len(NAMES), "parts are on their way")
        batch.abort()
        assert len(chain.interposer.requests(ABORT)) == len(NAMES)
        assert running == []


class TestSweeping:
    def test_renews_the_records_of_all_that_is_staged(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with chain.storage.batch() as batch:
            stage_all(batch)
            settle(chain, len(NAMES))
            records = {PREFIX + key for key in chain.own()}
            assert len(records) == len(NAMES)
            chain.interposer.clear()
            chain.interposer.on("ListObjectsV2", later(10 * AGE), times=None)
            with monkeypatch.context() as patched:
                patched.setattr(multipart, "monotonic", lambda: time.monotonic() + AGE)
                assert chain.storage.sweep() == 0
            assert {request.key for request in chain.interposer.requests("PutObject")} == records
            assert set(outcomes(batch).values()) == {None}
        assert set(chain.artifacts()) == set(NAMES)

    def test_tries_what_could_not_be_aborted_up_to_one_that_fails_again(self, chain: Chain) -> None:
        """While it waits for a store that is silent, nobody renews what lives."""
        batch = chain.storage.batch()
        stage_all(batch, ["a", "b", "c"])
        settle(chain, 3)
        chain.interposer.on(ABORT, answer(403, "AccessDenied"), times=3)
        batch.abort()
        chain.interposer.on(ABORT, answer(403, "AccessDenied"))
        chain.interposer.clear()
        assert chain.storage.sweep() == 0
        (failed,) = chain.interposer.requests(ABORT)
        chain.interposer.clear()
        assert chain.storage.sweep() == 3
        assert [request.key for request in chain.interposer.requests(ABORT)][-1] == failed.key
