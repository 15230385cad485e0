"""Uploads to S3 that meet trouble: whole or not there at all, and nothing of them left behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.errors import ArtifactNotFound, StorageError, StorageTimeout
from tests.support.artifacts import get, names, path, put
from tests.support.interposer_actions import Action, answer, delay, hang, refuse
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import MIB, PART, PREFIX, Chain, chained
from tests.support.waiting import wait_until

LARGE = b"x" * (2 * PART + 1)
"""Three parts."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


class TestAFailingPart:
    @pytest.mark.parametrize("number", [1, 2, 3])
    @pytest.mark.parametrize("action", [answer(500, "InternalError"), refuse], ids=["error", "reset"])
    def test_leaves_nothing_and_the_old_artifact(self, chain: Chain, number: int, action: Action) -> None:
        put(chain.storage, "a", b"old")
        rule = chain.interposer.on(lambda request: request.query.get("partNumber") == str(number), action)
        with pytest.raises(StorageError):
            put(chain.storage, "a", LARGE)
        assert rule.used
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []

    def test_is_sent_again_within_the_budget(self, object_store: ObjectStore, bucket: str) -> None:
        with chained(object_store, bucket, attempts=3) as chain:
            chain.interposer.on("UploadPart", answer(500, "InternalError"))
            chain.interposer.on("UploadPart", refuse)
            put(chain.storage, "a", LARGE)
            assert not chain.interposer.unused()
            assert chain.artifacts() == {"a": LARGE}

    def test_that_the_store_swept_is_no_success(self, chain: Chain) -> None:
        with chain.storage.create(path("a")) as upload:
            upload.write(LARGE)
            wait_until(lambda: len(chain.interposer.requests("UploadPart")) == 2, "parts are sent")
            (upload_id,) = chain.open_uploads()
            chain.direct.abort_multipart_upload(Bucket=chain.bucket, Key=f"{PREFIX}a", UploadId=upload_id)
            with pytest.raises(StorageError):
                upload.commit()
        assert chain.artifacts() == {}
        assert chain.own() == []


class TestAbort:
    @pytest.mark.parametrize("count", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
    def test_leaves_nothing_at_any_point(self, chain: Chain, count: int) -> None:
        for announced in (None, 3 * PART):
            with chain.storage.create(path("d/a"), size=announced) as upload:
                upload.write(bytes(count))
            assert chain.leftovers() == []
            assert chain.artifacts() == {}
        assert names(chain.storage) == []

    def test_comes_to_the_store_only_when_no_part_is_on_its_way(self, chain: Chain) -> None:
        """A store may keep a part for good that arrives after the abort."""
        running: list[Request] = []

        def abort(exchange: Exchange) -> None:
            running.extend(part for part in interposer.requests("UploadPart") if part.status is None)
            exchange.reply(exchange.forward())

        interposer = chain.interposer
        interposer.on("UploadPart", delay(0.5), times=None)
        interposer.on("AbortMultipartUpload", abort)
        upload = chain.storage.create(path("a"))
        upload.write(LARGE)
        wait_until(lambda: len(interposer.requests("UploadPart")) == 2, "parts are on their way")
        upload.abort()
        assert len(interposer.requests("AbortMultipartUpload")) == 1
        assert running == []
        assert chain.leftovers() == []

    def test_that_fails_is_made_up_for_by_the_sweeper(self, chain: Chain) -> None:
        upload = chain.storage.create(path("a"))
        upload.write(LARGE)
        chain.interposer.on("AbortMultipartUpload", answer(500, "InternalError"))
        upload.abort()
        assert len(chain.open_uploads()) == 1
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []

    def test_does_not_wait_long_for_a_storage_that_is_silent(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with chained(object_store, bucket, s3_timeout=1) as chain:
            chain.direct.put_object(Bucket=bucket, Key=f"{PREFIX}a", Body=b"old")
            upload = chain.storage.create(path("a"))
            upload.write(LARGE)
            chain.interposer.on(lambda request: True, hang, times=None)
            with pytest.raises(StorageTimeout):
                upload.commit()
            assert len(chain.open_uploads()) == 1
            chain.interposer.forget_rules()

            def swept() -> bool:
                chain.storage.sweep()
                return chain.leftovers() == []

            wait_until(swept, "the sweeper has made up for it")
            assert chain.artifacts() == {"a": b"old"}


class TestNothingPartialIsEverVisible:
    def test_to_a_reader_while_artifacts_are_replaced_slowly_or_in_vain(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        versions = [bytes([number]) * (PART + number * MIB) for number in range(4)]
        known = {hashlib.sha256(version).digest() for version in versions}
        sizes = {len(version) for version in versions}
        over = threading.Event()

        def read(chain: Chain) -> int:
            seen = 0
            while not over.is_set() or not seen:
                with suppress(ArtifactNotFound):
                    assert hashlib.sha256(get(chain.storage, "d/a")).digest() in known
                    seen += 1
                for entry in chain.storage.list(path("d")):
                    assert (entry.path.name, entry.size in sizes) == ("a", True)
            return seen

        with chained(object_store, bucket) as chain, ThreadPoolExecutor(2) as pool:
            chain.interposer.on("UploadPart", delay(0.1), times=None)
            readers = [pool.submit(read, chain) for _ in range(2)]
            try:
                for version in versions:
                    with chain.storage.create(path("d/a")) as upload:
                        upload.write(version[: PART + 1])  # and nothing more comes
                    put(chain.storage, "d/a", version)
                    chain.storage.delete(path("d/a"))
                    put(chain.storage, "d/a", version)
            finally:
                over.set()
            assert all(reader.result() for reader in readers)
            assert chain.artifacts() == {"d/a": versions[-1]}
            assert chain.leftovers() == []
