"""What the owner, the signature and time limits do to the requests that S3 gets, recorded on their way."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar, cast

import httpx
import pytest

from app.errors import (
    StorageTimeout,
)
from app.storage.base import Storage
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import get, names, path, put
from tests.support.interposer import Interposer
from tests.support.interposer_actions import delay, hang
from tests.support.object_store import ObjectStore
from tests.support.s3_requests import (
    OPERATIONS,
    do_everything,
    presigned,
)
from tests.support.s3_variables import configured, served, without


def test_the_expected_owner_of_the_bucket_is_named_in_every_request(
    variables: dict[str, str], wire: Interposer, shared_root: str
) -> None:
    named = variables | {"MLFLOW_S3_EXPECTED_BUCKET_OWNER": "123456789012"}
    with configured(shared_root, named) as storage:
        do_everything(storage)
    # A client's own requests have no such header, and are for an upload that was begun with one.
    own = [one for one in wire.requests() if "X-Amz-Signature" not in one.query]
    assert {request.operation for request in own} == OPERATIONS
    assert {request.headers.get("x-amz-expected-bucket-owner") for request in own} == {"123456789012"}


class TestSignatureVersion:
    VARIABLE = "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION"

    @pytest.mark.parametrize(("version", "begin"), [("", "AWS4-HMAC-SHA256 "), ("s3v4", "AWS4-HMAC-SHA256 ")])
    def test_is_the_fourth_by_itself(
        self, version: str, begin: str, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | {self.VARIABLE: version}) as storage:
            put(storage, "a")
            assert get(storage, "a") == b"data"
        assert all(one.headers["authorization"].startswith(begin) for one in wire.requests())

    def test_can_be_that_of_old_stores(
        self, second_variables: dict[str, str], second_wire: Interposer, second_root: str
    ) -> None:
        with configured(second_root, second_variables | {self.VARIABLE: "s3"}) as storage:
            put(storage, "a")
        signed = re.compile(rf"AWS {second_variables['AWS_ACCESS_KEY_ID']}:[A-Za-z0-9+/]{{27}}=")
        assert second_wire.requests("PutObject")
        assert all(signed.fullmatch(one.headers["authorization"]) for one in second_wire.requests())

    def test_unsigned_requests_need_no_credentials(
        self, variables: dict[str, str], wire: Interposer, object_store: ObjectStore, bucket: str
    ) -> None:
        everybody = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        policy = {"Version": "2012-10-17", "Statement": [everybody | {"Resource": resources}]}
        with closing(object_store.client()) as client:
            client.put_object(Bucket=bucket, Key="some/root/a", Body=b"for everybody")
            client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        named = without(variables, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") | {self.VARIABLE: "unsigned"}
        with configured(f"s3://{bucket}/some/root", named) as storage:
            assert names(storage) == ["a"]
            assert get(storage, "a") == b"for everybody"
        assert wire.operations() == ["ListObjectsV2", "GetObject"]
        assert not any("authorization" in request.headers for request in wire.requests())


class TestPresignedLifetime:
    @pytest.mark.parametrize(("given", "seconds"), [("", "300"), ("77", "77")])
    def test_is_that_of_downloads(self, given: str, seconds: str, variables: dict[str, str]) -> None:
        named = variables | {"MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS": given}
        with configured("s3://bucket/some/root", named) as storage:
            _, _, query = presigned(storage)
        assert query["X-Amz-Expires"] == [seconds]


class TestTimeout:
    VARIABLE = "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT"

    USES: ClassVar[dict[str, Callable[[Storage], object]]] = {
        "GetObject": lambda storage: get(storage, "a"),
        "HeadObject": lambda storage: storage.stat(path("a")),
        "ListObjectsV2": names,
        "PutObject": lambda storage: put(storage, "a"),
    }

    @pytest.mark.parametrize("operation", USES)
    def test_a_silent_store_is_waited_for_so_long_and_asked_once(
        self, operation: str, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | {self.VARIABLE: "1"}) as storage:
            wire.on(operation, hang, times=None)
            start = time.monotonic()
            with pytest.raises(StorageTimeout):
                self.USES[operation](storage)
            assert 1 <= time.monotonic() - start < 30  # without the variable it is 60
        assert len(wire.requests(operation)) == 1

    def test_a_silent_store_is_504(
        self, variables: dict[str, str], wire: Interposer, shared_root: str, tmp_path: Path
    ) -> None:
        with served(shared_root, variables | {self.VARIABLE: "2"}, tmp_path) as server:
            wire.clear()
            wire.on("GetObject", hang, times=None)
            answered = httpx.get(f"{server.native}/a", timeout=30)
        assert answered.status_code == 504
        assert answered.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert [one.key for one in wire.requests("GetObject")] == [f"{shared_root.split('/', 3)[3]}/a"]

    @pytest.mark.parametrize(("given", "seconds"), [("", 60), ("7", 7), ("-1", None)])
    def test_is_that_of_the_client(
        self, given: str, seconds: int | None, variables: dict[str, str], wire: Interposer, shared_root: str
    ) -> None:
        with configured(shared_root, variables | {self.VARIABLE: given}) as storage:
            config = cast(S3Storage, storage)._bucket.client.meta.config
            assert (config.connect_timeout, config.read_timeout) == (seconds, seconds)
            if seconds is None:
                wire.on("ListObjectsV2", delay(1))
                storage.check()
