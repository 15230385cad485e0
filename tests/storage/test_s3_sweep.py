"""What servers that died have left in the store is removed; nobody else's uploads are, nor live ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import cast

import pytest
from botocore.exceptions import NoCredentialsError

from app.errors import StoragePermissionDenied
from app.storage import registry
from app.storage.s3 import S3Settings, multipart
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import path, paths, put
from tests.support.interposer_actions import answer, delay, later
from tests.support.interposer_exchange import Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PART, PREFIX, RECORDS, Chain, chained

LARGE = b"x" * (2 * PART + 1)
AGE = 1000


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket, s3_abandoned_upload_age=AGE) as opened:
        yield opened


def abandon(chain: Chain, *names: str) -> None:
    """Begins uploads, as a server does that dies then."""
    with chained(chain.store, chain.bucket) as other:
        for name in names:
            upload = other.storage.create(path(name))
            upload.write(LARGE)


def begin_foreign(chain: Chain, name: str) -> str:
    """Somebody else's upload to a key below our root."""
    answer = chain.direct.create_multipart_upload(Bucket=chain.bucket, Key=f"{PREFIX}{name}")
    part = {"Bucket": chain.bucket, "Key": f"{PREFIX}{name}", "UploadId": answer["UploadId"]}
    chain.direct.upload_part(**part, PartNumber=1, Body=b"x")  # type: ignore[arg-type]
    return answer["UploadId"]


class TestWhatIsSwept:
    def test_are_uploads_of_servers_that_died_and_ours_only(self, chain: Chain) -> None:
        abandon(chain, "a", "d/b")
        foreign = begin_foreign(chain, "a")
        put(chain.storage, "a", b"old")
        assert len(chain.open_uploads()) == 3
        assert chain.storage.sweep() == 0
        assert len(chain.open_uploads()) == 3
        chain.interposer.on("ListObjectsV2", later(AGE + 5), times=None)
        assert chain.storage.sweep() == 2
        assert chain.leftovers() == [foreign]
        assert chain.artifacts() == {"a": b"old"}
        assert chain.storage.sweep() == 0

    def test_is_judged_by_the_clock_of_the_store(self, chain: Chain) -> None:
        """Of two clocks that differ, the other one would take every upload for old, or none ever."""
        abandon(chain, "a")
        for seconds, swept in [(-AGE * 2, 0), (AGE - 60, 0), (AGE + 60, 1)]:
            chain.interposer.on("ListObjectsV2", later(seconds))
            assert chain.storage.sweep() == swept
        assert chain.leftovers() == []

    def test_are_uploads_that_clients_began_and_did_not_finish(self, chain: Chain) -> None:
        assert chain.storage.direct is not None
        chain.storage.direct.begin(path("a"), 2)
        chain.interposer.on("ListObjectsV2", later(AGE - 60))
        assert chain.storage.sweep() == 0
        chain.interposer.on("ListObjectsV2", later(AGE + 60))
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []

    def test_is_nothing_of_another_root_in_the_bucket(self, chain: Chain) -> None:
        abandon(chain, "a")
        settings = S3Settings.model_validate({"s3_endpoint_url": chain.interposer.url})
        with pytest.MonkeyPatch.context() as patched:
            for name, value in chain.store.environment().items():
                patched.setenv(name, value)
            other = registry.open_storage(
                f"s3://{chain.bucket}/some", settings, read_only=False, prepare=True
            )
        with closing(other):
            chain.interposer.on("ListObjectsV2", later(10**6))
            assert other.sweep() == 0
            assert paths(other, "root") == []
        assert len(chain.open_uploads()) == 1

    def test_are_probes_of_servers_that_died_and_the_uploads_to_them(self, chain: Chain) -> None:
        key = f"{PREFIX}.artifact-proxy/probe-00"
        upload = chain.direct.create_multipart_upload(Bucket=chain.bucket, Key=key)
        chain.direct.upload_part(
            Bucket=chain.bucket, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x"
        )
        chain.direct.put_object(Bucket=chain.bucket, Key=key, Body=upload["UploadId"].encode())
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{key}1", Body=b"probe")
        assert chain.storage.sweep() == 0
        chain.interposer.on("ListObjectsV2", later(AGE + 60), times=None)
        assert chain.storage.sweep() == 2
        assert chain.leftovers() == []

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"\xff\xfe",
            b"{}",
            b"[]",
            b"null",
            json.dumps({"path": "../a", "upload_id": "u", "token": "t", "parts": None}).encode(),
            json.dumps({"path": 5, "upload_id": "u", "token": "t", "parts": None}).encode(),
        ],
    )
    def test_are_records_that_nobody_can_read(
        self, chain: Chain, text: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        abandon(chain, "a")
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}{RECORDS}00", Body=text)
        chain.interposer.on("ListObjectsV2", later(AGE + 60))
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []
        assert "Removing" in caplog.text

    def test_is_an_upload_that_was_finished_or_aborted_by_somebody_else(self, chain: Chain) -> None:
        abandon(chain, "a")
        (upload_id,) = chain.open_uploads()
        chain.direct.abort_multipart_upload(Bucket=chain.bucket, Key=f"{PREFIX}a", UploadId=upload_id)
        chain.interposer.on("ListObjectsV2", later(AGE + 60))
        chain.storage.sweep()
        assert chain.leftovers() == []

    def test_is_as_much_as_can_be(self, chain: Chain) -> None:
        """One upload that cannot be aborted keeps none of the others."""
        abandon(chain, "a", "b", "c")

        def is_refused(request: Request) -> bool:
            """The abort of one of them, whichever comes first."""
            if request.operation != "AbortMultipartUpload":
                return False
            first = chain.interposer.requests("AbortMultipartUpload")[0]
            return request.key == first.key

        chain.interposer.on(is_refused, answer(403, "AccessDenied"), times=None)
        chain.interposer.on("ListObjectsV2", later(AGE + 60), times=None)
        assert chain.storage.sweep() == 2
        assert len(chain.open_uploads()) == 1
        chain.interposer.forget_rules()
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []

    def test_is_what_can_be_read(self, chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
        """One record that is refused keeps none of the other uploads."""
        abandon(chain, "a", "b", "c")
        refused = sorted(chain.own())[0]  # which is listed first
        chain.interposer.on(
            lambda request: (request.operation, request.key) == ("GetObject", PREFIX + refused),
            answer(403, "AccessDenied"),
            times=None,
        )
        chain.interposer.on("ListObjectsV2", later(AGE + 60), times=None)
        assert chain.storage.sweep() == 2
        assert chain.own() == [refused]
        assert refused in caplog.text
        chain.interposer.forget_rules()
        chain.interposer.on("ListObjectsV2", later(AGE + 60))
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []

    def test_is_an_upload_that_could_be_neither_recorded_nor_aborted(self, chain: Chain) -> None:
        """Without a record nobody else would ever find it."""
        chain.interposer.on(is_for_record("PutObject"), answer(403, "AccessDenied"))
        chain.interposer.on("AbortMultipartUpload", answer(403, "AccessDenied"))
        with pytest.raises(StoragePermissionDenied):
            put(chain.storage, "a", LARGE)
        assert not chain.interposer.unused()
        assert len(chain.open_uploads()) == 1
        assert chain.own() == []
        assert chain.storage.sweep() == 1
        assert chain.leftovers() == []


def test_an_upload_whose_urls_cannot_be_signed_is_aborted(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client never hears of it."""
    direct = cast(S3Storage, chain.storage).direct
    assert direct is not None

    def fail(*_: object, **__: object) -> str:
        raise NoCredentialsError

    monkeypatch.setattr(direct._client, "generate_presigned_url", fail)
    with pytest.raises(StoragePermissionDenied):
        direct.begin(path("a"), 2)
    assert len(chain.interposer.requests("CreateMultipartUpload")) == 1
    assert chain.leftovers() == []


def is_for_record(operation: str) -> Callable[[Request], bool]:
    return lambda request: request.operation == operation and request.key.startswith(PREFIX + RECORDS)


class TestLiveUploads:
    def test_are_not_swept_by_their_own_server_although_their_records_are_old(self, chain: Chain) -> None:
        with chain.storage.create(path("a")) as upload:
            upload.write(LARGE)
            chain.interposer.on("ListObjectsV2", later(10 * AGE), times=None)
            assert chain.storage.sweep() == 0
            upload.commit()
        assert chain.artifacts() == {"a": LARGE}

    def test_are_renewed_although_one_of_them_could_not_be(
        self, chain: Chain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ExitStack() as stack:
            uploads = [stack.enter_context(chain.storage.create(path(name))) for name in "abc"]
            for upload in uploads:
                upload.write(LARGE)
            records = {PREFIX + key for key in chain.own()}
            chain.interposer.clear()
            monkeypatch.setattr(multipart, "monotonic", lambda: time.monotonic() + AGE)
            chain.interposer.on(is_for_record("PutObject"), answer(403, "AccessDenied"))
            assert chain.storage.sweep() == 0
            renewals = chain.interposer.requests("PutObject")
            assert {request.key for request in renewals} == records
            assert "Could not renew" in caplog.text
            # It is the next in turn, and the others are fresh.
            chain.interposer.clear()
            assert chain.storage.sweep() == 0
            assert [one.key for one in chain.interposer.requests("PutObject")] == [renewals[0].key]

    def test_that_end_while_they_are_renewed_leave_no_record(
        self, object_store: ObjectStore, bucket: str
    ) -> None:
        with (
            chained(object_store, bucket, s3_abandoned_upload_age=1) as chain,
            ThreadPoolExecutor(3) as pool,
        ):
            chain.interposer.on("UploadPart", delay(0.4), times=None)
            uploads = [pool.submit(put, chain.storage, f"d/{number}", LARGE) for number in range(6)]
            while not all(upload.done() for upload in uploads):
                chain.storage.sweep()
            for upload in uploads:
                upload.result()
            assert len(chain.artifacts()) == 6
            assert chain.leftovers() == []


def test_a_server_that_may_not_write_sweeps_nothing(chain: Chain) -> None:
    abandon(chain, "a")
    settings = S3Settings.model_validate({"s3_endpoint_url": chain.interposer.url})
    with pytest.MonkeyPatch.context() as patched:
        for name, value in chain.store.environment().items():
            patched.setenv(name, value)
        reader = registry.open_storage(
            f"s3://{chain.bucket}/{PREFIX}", settings, read_only=True, prepare=True
        )
    with closing(reader):
        chain.interposer.on("ListObjectsV2", later(10**6), times=None)
        assert reader.sweep() == 0
    assert len(chain.open_uploads()) == 1
