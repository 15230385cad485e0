"""Uploads to S3 in parts: how large they are, how many go at once, and what memory they take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from app.budget import Budget
from app.errors import RequestTooLarge
from app.storage.base import Storage
from app.storage.s3 import upload as s3_upload
from app.storage.s3.parts import MAX_OBJECT, MAX_PARTS, part_size
from tests.support.artifacts import path, put
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import MIB, PART, Chain, chained

PATIENCE = 20


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


def memory_of(storage: Storage) -> Budget:
    memory: Budget = cast(Any, storage)._workshop.memory
    return memory


def sent(chain: Chain) -> list[tuple[int, int]]:
    """The numbers and sizes of the parts that the store was sent."""
    parts = chain.interposer.requests("UploadPart")
    return sorted((int(part.query["partNumber"]), part.body_length) for part in parts)


class TestSizes:
    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize("size", [0, 1, PART])
    def test_up_to_that_of_a_part_an_artifact_is_stored_in_one_piece(
        self, chain: Chain, size: int, announced: bool
    ) -> None:
        with chain.storage.create(path("a"), size=size if announced else None) as upload:
            upload.write(bytes(size))
            upload.commit()
        assert [request.body_length for request in chain.interposer.requests("PutObject")] == [size]
        assert chain.interposer.requests("CreateMultipartUpload") == []
        assert chain.artifacts() == {"a": bytes(size)}

    @pytest.mark.parametrize("announced", [True, False])
    @pytest.mark.parametrize(
        ("size", "parts"),
        [
            (PART + 1, [(1, PART), (2, 1)]),
            (2 * PART, [(1, PART), (2, PART)]),
            (2 * PART + 7, [(1, PART), (2, PART), (3, 7)]),
        ],
    )
    def test_beyond_it_all_parts_but_the_last_are_alike(
        self, chain: Chain, size: int, parts: list[tuple[int, int]], announced: bool
    ) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        with chain.storage.create(path("a"), size=size if announced else None) as upload:
            for start in range(0, size, 3 * MIB):
                upload.write(data[start : start + 3 * MIB])
            upload.commit()
        assert sent(chain) == parts
        assert chain.artifacts() == {"a": data}

    def test_are_as_configured(self, object_store: ObjectStore, bucket: str) -> None:
        with chained(object_store, bucket, s3_part_size=6 * MIB) as chain:
            put(chain.storage, "a", bytes(13 * MIB))
            assert sent(chain) == [(1, 6 * MIB), (2, 6 * MIB), (3, MIB)]

    def test_grow_with_an_artifact_that_would_need_too_many(self, chain: Chain) -> None:
        with chain.storage.create(path("a"), size=MAX_PARTS * PART + 1) as upload:
            upload.write(bytes(6 * MIB + 1))
        assert sent(chain) == [(1, 6 * MIB)]
        assert chain.leftovers() == []

    def test_are_never_more_than_the_store_takes(self, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_upload, "MAX_PARTS", 2)
        with chain.storage.create(path("a")) as upload:
            upload.write(bytes(2 * PART))
            upload.write(bytes(PART))
            with pytest.raises(RequestTooLarge, match="Content-Length"):
                upload.commit()
        assert chain.artifacts() == {}
        assert chain.leftovers() == []

    def test_cannot_make_room_for_more_than_the_largest_object(self, chain: Chain) -> None:
        with pytest.raises(RequestTooLarge):
            chain.storage.create(path("a"), size=MAX_OBJECT + 1)
        assert part_size(PART, MAX_OBJECT) * MAX_PARTS >= MAX_OBJECT
        assert part_size(PART, MAX_PARTS * PART) == PART


class TestAtOnce:
    def test_parts_are_on_their_way_beside_each_other(self, chain: Chain) -> None:
        together = threading.Barrier(3)

        def wait_for_others(exchange: Exchange) -> None:
            together.wait(PATIENCE)
            exchange.reply(exchange.forward())

        chain.interposer.on("UploadPart", wait_for_others, times=3)
        put(chain.storage, "a", bytes(2 * PART + 1))
        assert chain.artifacts() == {"a": bytes(2 * PART + 1)}

    @pytest.mark.parametrize("limit", [PART, 2 * PART, 3 * PART])
    def test_uploads_take_no_more_memory_than_there_is_and_all_get_on(
        self, object_store: ObjectStore, bucket: str, limit: int
    ) -> None:
        with chained(object_store, bucket, s3_upload_memory=limit) as chain:
            storage = chain.storage
            memory = memory_of(storage)
            used: list[int] = []

            def look(exchange: Exchange) -> None:
                used.append(memory._used)
                exchange.reply(exchange.forward())

            chain.interposer.on("UploadPart", look, times=None)
            chain.interposer.on("CompleteMultipartUpload", look, times=None)
            data = bytes(2 * PART + 1)
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda number: put(storage, f"d/{number}", data), range(6)))
            assert chain.artifacts() == {f"d/{number}": data for number in range(6)}
            assert PART <= max(used) <= limit
            assert memory._used == 0

    def test_memory_of_uploads_that_fail_is_given_back(self, object_store: ObjectStore, bucket: str) -> None:
        with chained(object_store, bucket, s3_upload_memory=2 * PART) as chain:
            storage = chain.storage
            for count in (0, 1, PART + 1, 2 * PART + 1):
                with storage.create(path("a")) as upload:
                    upload.write(bytes(count))
            waiting = [storage.create(path(name)) for name in "abc"]
            assert [upload.ready is not None and upload.ready.done() for upload in waiting] == [
                True,
                True,
                False,
            ]
            for upload in reversed(waiting):
                upload.abort()
            assert memory_of(storage)._used == 0

    def test_small_uploads_pass_while_a_large_one_holds_its_share(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with chained(object_store, bucket, s3_upload_memory=2 * PART) as chain:
            with chain.storage.create(path("large")) as large:
                large.write(bytes(PART + 1))
                for number in range(3):
                    put(chain.storage, f"small/{number}", b"x")
                large.commit()
            assert len(chain.artifacts()) == 4
