"""Uploads to S3 that meet trouble: whole or not there at all, and nothing of them left behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.errors import (
    ArtifactNotFound,
    PreconditionFailed,
    StorageError,
    StorageMisbehaved,
    StorageTimeout,
    StorageUnreachable,
)
from app.storage.base import Precondition
from tests.support.artifacts import get, names, path, put
from tests.support.interposer_actions import (
    Action,
    answer,
    cut_after_forwarding,
    delay,
    flip_request_byte,
    hang,
    raw,
    refuse,
    replace_body,
)
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import MIB, PART, PREFIX, Chain, chained
from tests.support.waiting import wait_until

SMALL = b"new"
LARGE = b"x" * (2 * PART + 1)
"""Three parts."""
CREATE_ONLY = Precondition(none_match="*")
COMPLETING = {"small": "PutObject", "large": "CompleteMultipartUpload"}
INTERNAL_ERROR = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"


def by_key(operation: str, name: str) -> Callable[[Request], bool]:
    """For requests to the artifact alone: records of uploads are put like small artifacts."""
    return lambda request: (request.operation, request.key) == (operation, f"{PREFIX}{name}")


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
class TestAnAnswerThatIsLost:
    """The store has done its work, and the connection breaks before it can tell."""

    @pytest.fixture
    def chain(self, object_store: ObjectStore, bucket: str, attempts: int) -> Iterator[Chain]:
        with chained(object_store, bucket, attempts=attempts) as opened:
            yield opened

    @pytest.fixture
    def completing(self, chain: Chain, data: bytes) -> str:
        """The request that makes the artifact visible. What condition the store judges is known by now."""
        put(chain.storage, "other", data, CREATE_ONLY)
        chain.storage.delete(path("other"))
        chain.interposer.clear()
        return COMPLETING["small" if data == SMALL else "large"]

    @pytest.mark.parametrize("replaced", [False, True])
    def test_is_a_success_all_the_same(
        self, chain: Chain, data: bytes, completing: str, replaced: bool
    ) -> None:
        if replaced:
            put(chain.storage, "d/a", b"old")
        rule = chain.interposer.on(by_key(completing, "d/a"), cut_after_forwarding)
        with chain.storage.create(path("d/a")) as upload:
            upload.write(data)
            entry = upload.commit()
        assert rule.used
        assert upload.created is not replaced
        assert entry.etag == chain.storage.stat(path("d/a")).etag
        assert chain.artifacts() == {"d/a": data}
        assert chain.leftovers() == []
        assert chain.interposer.requests("AbortMultipartUpload") == []

    def test_is_a_success_for_who_must_be_the_first(self, chain: Chain, data: bytes, completing: str) -> None:
        """The repetition is refused, because the first request has made what it must not find."""
        chain.interposer.on(by_key(completing, "a"), cut_after_forwarding)
        with chain.storage.create(path("a"), precondition=CREATE_ONLY) as upload:
            upload.write(data)
            upload.commit()
        assert not chain.interposer.unused()
        assert upload.created
        assert chain.artifacts() == {"a": data}
        assert chain.leftovers() == []

    def test_is_a_success_for_who_replaces_a_certain_version(
        self, chain: Chain, data: bytes, completing: str
    ) -> None:
        old = put(chain.storage, "a", b"old")
        assert old.etag
        chain.interposer.on(by_key(completing, "a"), cut_after_forwarding)
        put(chain.storage, "a", data, Precondition(match=frozenset({old.etag})))
        assert not chain.interposer.unused()
        assert chain.artifacts() == {"a": data}

    def test_is_no_success_where_somebody_else_was_first(
        self, chain: Chain, data: bytes, completing: str
    ) -> None:
        with chain.storage.create(path("a"), precondition=CREATE_ONLY) as upload:
            upload.write(data)
            chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}a", Body=b"of somebody else")
            chain.interposer.on(completing, refuse)
            with pytest.raises((PreconditionFailed, StorageUnreachable)):
                upload.commit()
        assert chain.artifacts() == {"a": b"of somebody else"}
        assert chain.leftovers() == []


class TestARequestThatIsLost:
    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("action", [refuse, raw(b"")], ids=["reset", "closed"])
    def test_is_no_success(self, chain: Chain, data: bytes, action: Action) -> None:
        put(chain.storage, "a", b"old")
        chain.interposer.on(by_key(COMPLETING["small" if data == SMALL else "large"], "a"), action)
        with pytest.raises(StorageUnreachable):
            put(chain.storage, "a", data)
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []


class TestASuccessWhoseBodyIsAnError:
    def test_is_tried_again(self, object_store: ObjectStore, bucket: str) -> None:
        with chained(object_store, bucket, attempts=2) as chain:
            chain.interposer.on("CompleteMultipartUpload", answer(200, "InternalError"))
            put(chain.storage, "a", LARGE)
            assert len(chain.interposer.requests("CompleteMultipartUpload")) == 2
            assert chain.artifacts() == {"a": LARGE}
            assert chain.leftovers() == []

    def test_is_an_error_if_it_stays(self, chain: Chain) -> None:
        put(chain.storage, "a", b"old")
        chain.interposer.on("CompleteMultipartUpload", answer(200, "InternalError"), times=None)
        with pytest.raises(StorageMisbehaved):
            put(chain.storage, "a", LARGE)
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []

    def test_is_a_success_if_the_artifact_is_there(self, chain: Chain) -> None:
        chain.interposer.on("CompleteMultipartUpload", replace_body(200, INTERNAL_ERROR))
        put(chain.storage, "a", LARGE)
        assert chain.artifacts() == {"a": LARGE}
        assert chain.leftovers() == []


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


class TestCorruption:
    @pytest.mark.parametrize("offset", [0, PART - 1])
    @pytest.mark.parametrize("operation", ["PutObject", "UploadPart"])
    def test_on_the_way_to_the_store_is_noticed(self, chain: Chain, operation: str, offset: int) -> None:
        put(chain.storage, "a", b"old")
        rule = chain.interposer.on(
            lambda r: by_key(operation, "a")(r) and r.query.get("partNumber", "1") == "1",
            flip_request_byte(offset),
        )
        with pytest.raises(StorageMisbehaved):
            put(chain.storage, "a", bytes(PART) if operation == "PutObject" else LARGE)
        assert rule.used
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []

    def test_digests_are_on_the_wire(self, chain: Chain) -> None:
        """Not every store checks the signed one when there is no TLS."""
        put(chain.storage, "a", SMALL)
        put(chain.storage, "b", LARGE)
        stored = [one for one in chain.interposer.requests("PutObject") if ".artifact-proxy" not in one.key]
        assert len(stored) == 1
        for request in stored + chain.interposer.requests("UploadPart"):
            assert request.headers["content-md5"]


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
