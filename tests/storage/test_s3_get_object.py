"""Reads after the first one, which are copies of its request: what botocore would send, byte by byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, cast

import pytest
from botocore import auth
from botocore.awsrequest import AWSResponse
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPHeaderDict, HTTPResponse

from app.errors import (
    StorageMisbehaved,
)
from app.storage.ranges import ByteRange
from tests.support.artifacts import get, path
from tests.support.s3_variables import NOBODY, configured

SENT_BY_BOTOCORE = "amz-sdk-invocation-id"
ANSWER = {"Content-Length": "4", "ETag": '"e"', "Last-Modified": "Sat, 03 Feb 2024 04:05:06 GMT"}
CUSTOMERS_KEY = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
VARIABLES = {
    "MLFLOW_S3_ENDPOINT_URL": NOBODY,
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
WAYS: dict[str, dict[str, str]] = {
    "by default": {},
    "with an old signature": {"MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": "s3"},
    "without a signature": {"MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": "unsigned"},
    "with a session token": {"AWS_SESSION_TOKEN": "token"},
    "with the bucket in the host name": {"MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "virtual"},
    "to AWS": {"MLFLOW_S3_ENDPOINT_URL": ""},
    "to AWS over IPv6": {"MLFLOW_S3_ENDPOINT_URL": "", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "to AWS with an old signature": {
        "MLFLOW_S3_ENDPOINT_URL": "",
        "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": "s3",
    },
    "for an owner": {"MLFLOW_S3_EXPECTED_BUCKET_OWNER": "123456789012"},
    "with a customer's key": {
        "MLFLOW_S3_ENDPOINT_URL": "",
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS": json.dumps(CUSTOMERS_KEY),
    },
    "for whoever pays": {"MLFLOW_S3_UPLOAD_EXTRA_ARGS": '{"RequestPayer": "requester"}'},
    "with checksums": {"AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported"},
    "through a proxy": {"HTTP_PROXY": "http://127.0.0.1:2", "http_proxy": "http://127.0.0.1:2"},
}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be sent, at one moment of time; each request brings four bytes."""
    requests: list[Any] = []

    def send(_: URLLib3Session, request: Any) -> AWSResponse:
        requests.append(request)
        body = HTTPResponse(BytesIO(b"data"), ANSWER, 200, preload_content=False)
        return AWSResponse(request.url, 200, cast(Any, HTTPHeaderDict(ANSWER)), cast(Any, body))

    monkeypatch.setattr(URLLib3Session, "send", send)
    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime(2024, 2, 3, tzinfo=UTC))
    monkeypatch.setattr(auth, "formatdate", lambda usegmt: "Sat, 03 Feb 2024 00:00:00 GMT")
    return requests


def fields(request: Any) -> dict[str, bytes]:
    """Its headers, apart from those by which AWS follows repetitions, and a list of features."""
    return {
        name.lower(): value
        for name, value in request.headers.items()
        if not name.startswith("amz-sdk-") and name != "User-Agent"
    }


class TestARequest:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("key", ["a", "d/ü %+~?#&=;:@'()!*,/b.c"])
    def test_is_what_botocore_would_send(self, way: str, key: str, sent: list[Any]) -> None:
        """A signature tells all else from what was signed, at one moment."""
        wanted = ByteRange(1, 3)
        with configured("s3://bucket/some/root", VARIABLES | WAYS[way]) as storage:
            storage.read(path(key)).close()
            with pytest.raises(StorageMisbehaved):  # the answer has no range
                storage.read(path(key), wanted)
            storage.read(path("other")).close()
            storage.read(path(key)).close()
        with configured("s3://bucket/some/root", VARIABLES | WAYS[way]) as storage:
            with pytest.raises(StorageMisbehaved):
                storage.read(path(key), wanted)
            storage.read(path(key)).close()
        own, ranged, _, copied, own_ranged, copied_later = sent
        assert [SENT_BY_BOTOCORE in one.headers for one in sent] == [True, False, False, False, True, False]
        assert own.url == copied.url == copied_later.url
        assert fields(own) == fields(copied) == fields(copied_later)
        assert own_ranged.url == ranged.url
        assert fields(own_ranged) == fields(ranged)
        assert fields(ranged)["range"] == b"bytes=1-3"
        assert ("authorization" in fields(copied)) is (way != "without a signature")

    def test_has_its_bytes_compared_with_their_checksum(
        self, sent: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with configured("s3://bucket/some/root", VARIABLES | WAYS["with checksums"]) as storage:
            for checksum, right in (("rfPzYw==", True), ("AAAAAA==", False)):
                monkeypatch.setitem(ANSWER, "x-amz-checksum-crc32", checksum)
                for _ in range(2):
                    if right:
                        assert get(storage, "a") == b"data"
                    else:
                        with pytest.raises(StorageMisbehaved):
                            get(storage, "a")
        assert [SENT_BY_BOTOCORE in one.headers for one in sent] == [True, False, False, False]

    def test_names_the_program_that_sends_it(self, sent: list[Any]) -> None:
        with configured("s3://bucket/some/root", VARIABLES) as storage:
            for _ in range(2):
                storage.read(path("a")).close()
        assert all(b"Botocore" in one.headers["User-Agent"] for one in sent)

    def test_is_botocores_own_where_it_adapts_to_how_many_there_are(self, sent: list[Any]) -> None:
        with configured("s3://bucket/some/root", VARIABLES | {"AWS_RETRY_MODE": "adaptive"}) as storage:
            for _ in range(3):
                storage.read(path("a")).close()
        assert [SENT_BY_BOTOCORE in one.headers for one in sent] == [True, True, True]

    def test_that_succeeds_is_counted_by_botocores_budget(self, sent: list[Any]) -> None:
        counted: list[object] = []
        with configured("s3://bucket/some/root", VARIABLES) as storage:
            client = cast(Any, storage)._bucket.client
            client.meta.events.register("after-call.s3.GetObject", lambda **_: counted.append(None))
            for _ in range(3):
                storage.read(path("a")).close()
        assert len(counted) == len(sent) == 3
