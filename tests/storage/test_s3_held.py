"""Small members of a batch in S3: held in memory until they are published, each by one request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import PreconditionFailed, StorageError, StorageFull, StorageUnreachable
from app.storage.entry import Precondition
from app.storage.s3.batch import HELD_BYTES
from tests.support.artifacts import path, stage
from tests.support.interposer_actions import answer, cut_after_forwarding, hang
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_batches import (
    NAMES,
    concerns,
    judge,
    large,
    memory_used,
    outcomes,
    settle,
    small,
    stage_all,
    together,
)
from tests.support.s3_chain import PART, PREFIX, Chain, chained

PUT = "PutObject"
CREATE_ONLY = Precondition(none_match="*")


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    """In the end without anything that is held, or left."""
    with chained(object_store, bucket) as opened:
        yield opened
        opened.interposer.forget_rules()
        assert memory_used(opened) == (0, 0)
        assert opened.leftovers() == []


def test_nothing_is_sent_before_they_are_published_several_at_once(chain: Chain) -> None:
    chain.interposer.on(PUT, together(chain, PUT, len(NAMES)), times=None)
    with chain.storage.batch() as batch:
        staged = stage_all(batch, content=small)
        judge(batch)
        assert set(chain.interposer.operations()) <= {"HeadObject", "ListObjectsV2"}
        assert memory_used(chain) == (0, sum(map(len, staged.values())))
        assert list(outcomes(batch).items()) == [(name, None) for name in NAMES]
    assert {request.operation for request in chain.interposer.requests() if request.method != "GET"} <= {
        "HeadObject",
        PUT,
    }
    assert chain.artifacts() == staged


def test_only_what_is_small_is_held_whether_its_size_was_announced_or_not(chain: Chain) -> None:
    wanted = {"empty": b"", "held": bytes(HELD_BYTES), "staged": bytes(HELD_BYTES + 1)}
    with chain.storage.batch() as batch:
        for name, data in wanted.items():
            stage(batch, name, data)
            with batch.create(path(f"unknown/{name}")) as upload:
                upload.write(data)
                upload.commit()
        settle(chain, 2)
        assert memory_used(chain) == (0, 2 * HELD_BYTES)
        assert len(chain.open_uploads()) == 2


def test_what_finds_no_memory_is_staged(object_store: ObjectStore, bucket: str) -> None:
    memory = 2 * PART + 4 * (2 * HELD_BYTES)
    with chained(object_store, bucket, s3_upload_memory=memory) as chain:
        with chain.storage.batch() as batch, chain.storage.batch() as other:
            stage(batch, "a", bytes(HELD_BYTES))
            stage(other, "b", bytes(HELD_BYTES))
            stage(batch, "c", b"staged")
            stage(batch, "empty", b"")
            settle(chain, 1)
            assert [request.key for request in chain.interposer.requests("UploadPart")] == [f"{PREFIX}c"]
            assert memory_used(chain) == (0, 2 * HELD_BYTES)
            assert outcomes(batch) == dict.fromkeys(["a", "c", "empty"])
            stage(other, "d", b"held again")
            assert outcomes(other) == dict.fromkeys("bd")
        assert memory_used(chain) == (0, 0)
        assert set(chain.artifacts()) == {"a", "b", "c", "d", "empty"}
        assert chain.leftovers() == []


class TestAborted:
    def test_ones_ask_nothing_of_the_store(self, chain: Chain) -> None:
        with chain.storage.batch() as batch:
            stage_all(batch, content=small)
            chain.interposer.clear()
            chain.interposer.on(lambda request: True, hang, times=None)
        assert chain.interposer.requests() == []
        assert memory_used(chain) == (0, 0)

    def test_ones_after_some_were_published_give_their_memory_back(self, chain: Chain) -> None:
        names = [f"d/{number:02}" for number in range(30)]
        with chain.storage.batch() as batch:
            stage_all(batch, names, small)
            assert next(batch.publish()).error is None
        assert memory_used(chain) == (0, 0)
        assert names[0] in chain.artifacts()
        assert len(chain.artifacts()) < len(names)


class TestPublishing:
    def test_settles_an_answer_that_was_lost_by_asking(self, chain: Chain) -> None:
        rule = chain.interposer.on(concerns(PUT, "d/2"), cut_after_forwarding)
        with chain.storage.batch() as batch:
            stage_all(batch, content=small)
            assert set(outcomes(batch).values()) == {None}
        assert rule.used
        assert set(chain.artifacts()) == set(NAMES)

    def test_never_takes_the_object_of_another_for_its_own(self, chain: Chain) -> None:
        def lose(exchange: Exchange) -> None:
            chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}d/2", Body=b"other's")
            exchange.drain()
            exchange.reset()

        chain.interposer.on(concerns(PUT, "d/2"), lose)
        with chain.storage.batch() as batch:
            stage_all(batch, content=small)
            assert outcomes(batch)["d/2"] is StorageUnreachable
        assert chain.artifacts()["d/2"] == b"other's"

    def test_of_what_the_store_refuses_fails_and_spares_the_others(self, chain: Chain) -> None:
        chain.interposer.on(concerns(PUT, "d/2"), answer(403, "AccessDenied"))
        chain.interposer.on(concerns(PUT, "d/4"), answer(507, "QuotaExceeded"))
        with chain.storage.batch() as batch:
            stage_all(batch, content=small)
            told = outcomes(batch)
        assert {name for name, error in told.items() if error} == {"d/2", "d/4"}
        assert issubclass(told["d/2"] or Exception, StorageError)
        assert told["d/4"] is StorageFull
        assert set(chain.artifacts()) == set(NAMES) - {"d/2", "d/4"}

    def test_of_both_kinds_is_in_their_order(self, chain: Chain) -> None:
        kinds = {name: small if number % 2 else large for number, name in enumerate(NAMES)}
        with chain.storage.batch() as batch:
            for name, content in kinds.items():
                stage(batch, name, content(name))
            assert list(outcomes(batch)) == NAMES
        assert chain.artifacts() == {name: content(name) for name, content in kinds.items()}

    def test_holds_to_a_condition_that_the_store_judges(self, second_chain: Chain) -> None:
        """moto judges it for them, and not where parts are put together."""
        with second_chain.storage.batch() as batch:
            stage(batch, "a", b"new", CREATE_ONLY)
            stage(batch, "b", b"new", CREATE_ONLY)
            second_chain.direct.put_object(Bucket=second_chain.bucket, Key=f"{PREFIX}b", Body=b"other's")
            with pytest.raises(PreconditionFailed):
                judge(batch)
            assert outcomes(batch) == {"a": None, "b": PreconditionFailed}
        assert second_chain.artifacts() == {"a": b"new", "b": b"other's"}
        assert second_chain.leftovers() == []

    def test_replaces_nothing_that_came_in_the_last_moment(self, chain: Chain) -> None:
        def overtake(exchange: Exchange) -> None:
            chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}b", Body=b"other's")
            exchange.reply(exchange.forward())

        with chain.storage.batch() as batch:
            for name in "ab":
                stage(batch, name, b"new", CREATE_ONLY)
            chain.interposer.on(concerns(PUT, "b"), overtake)
            assert outcomes(batch) == {"a": None, "b": PreconditionFailed}
        assert chain.artifacts() == {"a": b"new", "b": b"other's"}
