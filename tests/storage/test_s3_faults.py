"""Every way in which a store can fail a request is the right error of the domain, in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from app.errors import (
    ArtifactError,
    InvalidPath,
    NotSupported,
    PathConflict,
    PreconditionFailed,
    RequestTooLarge,
    StorageFull,
    StorageMisbehaved,
    StoragePermissionDenied,
    StorageTimeout,
    StorageUnavailable,
    StorageUnreachable,
)
from app.storage.base import Storage
from tests.support.artifacts import get, names, path, put
from tests.support.interposer import interposing
from tests.support.interposer_actions import Action, answer, hang, hang_before_body, raw, refuse
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import MIB, PREFIX, Chain, chained, opened

MARKER = "text-of-the-store-that-is-nobodys-business"
SHORT = 1
"""Seconds that these stores may be silent."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "GetObject": lambda storage: get(storage, "a"),
    "HeadObject": lambda storage: storage.stat(path("a")),
    "ListObjectsV2": names,
    "PutObject": lambda storage: put(storage, "b"),
    "DeleteObject": lambda storage: storage.delete(path("a")),
    "DeleteObjects": lambda storage: storage.delete(path("d")),
    "CreateMultipartUpload": lambda storage: put(storage, "b", bytes(6 * MIB)),
    "UploadPart": lambda storage: put(storage, "b", bytes(6 * MIB)),
    "CompleteMultipartUpload": lambda storage: put(storage, "b", bytes(6 * MIB)),
}

ANSWERS = [
    (400, "KeyTooLongError", InvalidPath),
    (400, "XMinioInvalidObjectName", InvalidPath),
    (400, "XMinioParentIsObject", PathConflict),
    (409, "ExistingObjectIsDirectory", PathConflict),
    (507, "XMinioStorageFull", StorageFull),
    (507, "Whatever", StorageFull),
    (403, "QuotaExceeded", StorageFull),
    (400, "XMinioAdminBucketQuotaExceeded", StorageFull),
    (400, "EntityTooLarge", RequestTooLarge),
    (413, "Whatever", RequestTooLarge),
    (400, "RequestTimeout", StorageTimeout),
    (404, "NoSuchBucket", StorageUnavailable),
    (429, "Whatever", StorageUnavailable),
    (503, "SlowDown", StorageUnavailable),
    (503, "ServiceUnavailable", StorageUnavailable),
    (400, "ThrottlingException", StorageUnavailable),
    (501, "NotImplemented", NotSupported),
    (400, "NotImplemented", NotSupported),
    (500, "InternalError", StorageMisbehaved),
    (502, "BadGateway", StorageMisbehaved),
    (504, "GatewayTimeout", StorageMisbehaved),
    (400, "BadDigest", StorageMisbehaved),
    (400, "XAmzContentSHA256Mismatch", StorageMisbehaved),
    (400, "IncompleteBody", StorageMisbehaved),
    (301, "PermanentRedirect", StoragePermissionDenied),
    (400, "AuthorizationHeaderMalformed", StoragePermissionDenied),
    (400, "ExpiredToken", StoragePermissionDenied),
    (401, "Unauthorized", StoragePermissionDenied),
    (403, "AccessDenied", StoragePermissionDenied),
    (403, "InvalidAccessKeyId", StoragePermissionDenied),
    (403, "SignatureDoesNotMatch", StoragePermissionDenied),
    (403, "RequestTimeTooSkewed", StoragePermissionDenied),
    (403, "InvalidObjectState", StoragePermissionDenied),
]


class TestAnswers:
    @pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
    def test_each_error_of_the_store_has_its_name(self, chain: Chain, operation: str) -> None:
        put(chain.storage, "a")
        for status, code, kind in ANSWERS:
            rule = chain.interposer.on(operation, answer(status, code, MARKER))
            with pytest.raises(ArtifactError) as caught:
                OPERATIONS[operation](chain.storage)
            assert rule.used, f"{status} {code}"
            assert type(caught.value) is kind, f"{status} {code}"
            said = f"{caught.value} {caught.value.__cause__}"
            assert MARKER not in said
            assert chain.bucket not in said
            assert chain.store.access_key not in said
            chain.interposer.forget_rules()
        assert chain.artifacts() == {"a": b"data"}

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_no_operation_takes_an_error_for_success(self, chain: Chain, operation: str) -> None:
        put(chain.storage, "a")
        put(chain.storage, "d/x")
        for status, code, kind in [
            (403, "AccessDenied", StoragePermissionDenied),
            (500, "InternalError", StorageMisbehaved),
        ]:
            chain.interposer.on(operation, answer(status, code, MARKER), times=None)
            with pytest.raises(kind):
                OPERATIONS[operation](chain.storage)
            chain.interposer.forget_rules()
        assert chain.artifacts() == {"a": b"data", "d/x": b"data"}
        assert chain.leftovers() == []

    def test_a_change_of_somebody_else_is_a_failed_precondition_or_tried_again(self, chain: Chain) -> None:
        chain.interposer.on("PutObject", answer(409, "OperationAborted"))
        put(chain.storage, "a")
        chain.interposer.on("GetObject", answer(409, "OperationAborted"))
        with pytest.raises(PreconditionFailed):
            get(chain.storage, "a")
        chain.interposer.on("PutObject", answer(409, "OperationAborted"), times=None)
        with pytest.raises(StorageUnavailable, match="Others keep changing"):
            put(chain.storage, "a")

    def test_a_bucket_that_is_gone_is_a_storage_that_is_not_there(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with chained(object_store, bucket) as chain:
            put(chain.storage, "d/a")
            object_store.remove_bucket(bucket)
            for operation, request in OPERATIONS.items():
                with pytest.raises(ArtifactError) as caught:
                    request(chain.storage)
                assert type(caught.value) is StorageUnavailable, operation
            with pytest.raises(StorageUnavailable):
                chain.storage.check()
            with pytest.raises(StorageUnavailable):
                list(chain.storage.rehearse())


def page(body: bytes, media_type: bytes = b"text/html") -> Action:
    """Somebody else's answer of success."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: " + media_type, b"Content-Length: %d" % len(body)]
    return raw(b"\r\n".join([*lines, b"Connection: close", b"", body]))


GARBAGE = {
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
    "no XML": page(b"<<<<<", b"application/xml"),
    "nothing": page(b""),
    "a page": page(b"<html><body>Log in to use this network.</body></html>"),
}


class TestNoAnswerOfS3:
    @pytest.mark.parametrize("action", [refuse, raw(b"")], ids=["reset", "closed"])
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_broken_connection(self, chain: Chain, operation: str, action: Action) -> None:
        put(chain.storage, "a")
        put(chain.storage, "d/x")
        chain.interposer.on(operation, action, times=None)
        with pytest.raises(StorageUnreachable):
            OPERATIONS[operation](chain.storage)
        chain.interposer.forget_rules()
        assert chain.artifacts() == {"a": b"data", "d/x": b"data"}
        assert chain.leftovers() == []

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_a_connection_that_breaks_once_is_made_anew(
        self, object_store: ObjectStore, bucket: str, operation: str
    ) -> None:
        with chained(object_store, bucket, attempts=2) as chain:
            put(chain.storage, "a")
            put(chain.storage, "d/x")
            chain.interposer.on(operation, refuse)
            OPERATIONS[operation](chain.storage)
            assert not chain.interposer.unused()

    def test_nobody_listens(self, object_store: ObjectStore, bucket: str) -> None:
        with interposing(object_store.url) as ended:
            url = ended.url
        with closing(opened(object_store, url, bucket)) as storage, pytest.raises(StorageUnreachable):
            storage.check()

    @pytest.mark.parametrize("what", GARBAGE)
    def test_somebody_else_who_answers_is_not_taken_for_a_store(self, chain: Chain, what: str) -> None:
        put(chain.storage, "a")
        put(chain.storage, "d/x")
        for operation, request in OPERATIONS.items():
            rule = chain.interposer.on(operation, GARBAGE[what], times=None)
            try:
                request(chain.storage)
            except (StorageMisbehaved, StorageUnreachable):
                pass
            else:
                # A store has nothing to tell of what it has deleted.
                assert what in {"a page", "nothing"}
                assert operation in {"DeleteObject", "DeleteObjects"}
            assert rule.used, operation
            chain.interposer.forget_rules()
        assert "b" not in chain.artifacts()
        assert chain.leftovers() == []


class TestSilence:
    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_is_waited_for_once(self, object_store: ObjectStore, bucket: str, operation: str) -> None:
        with chained(object_store, bucket, attempts=5, s3_timeout=SHORT) as chain:
            for name in ("a", "d/x"):
                chain.direct.put_object(Bucket=bucket, Key=PREFIX + name, Body=b"data")
            chain.interposer.on(operation, hang)
            with pytest.raises(StorageTimeout):
                OPERATIONS[operation](chain.storage)
            parts = 2 if operation == "UploadPart" else 1  # the last part is on its way at the same time
            assert 1 <= len(chain.interposer.requests(operation)) <= parts
            assert chain.artifacts() == {"a": b"data", "d/x": b"data"}

    def test_in_the_middle_of_a_body_is_waited_for_once(self, object_store: ObjectStore, bucket: str) -> None:
        """Where the store takes no more bytes, it is not the answer that is waited for."""
        size = 64 * MIB  # more than what a connection holds
        with chained(
            object_store, bucket, attempts=5, s3_timeout=2, s3_part_size=size, s3_upload_memory=2 * size
        ) as chain:
            chain.interposer.on("PutObject", hang_before_body, times=None)
            with pytest.raises(StorageTimeout):
                put(chain.storage, "a", bytes(size))
            assert len(chain.interposer.requests("PutObject")) == 1
