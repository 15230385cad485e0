"""The proxy that other tests put before an S3 server, in front of a real one."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)

from tests.support.interposer import Interposer, interposing
from tests.support.interposer_actions import (
    Action,
    answer,
    cut_after_forwarding,
    cut_body,
    delay,
    flip_request_byte,
    flip_response_byte,
    forward,
    hang,
    hang_before_body,
    raw,
    refuse,
    replace_body,
    stall_body,
)
from tests.support.interposer_exchange import RECORDED
from tests.support.object_store import ObjectStore
from tests.support.private_authority import private_authority
from tests.support.raw import connection
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = os.urandom(6 * 1024 * 1024)
ONCE: dict[str, Any] = {"retries": {"total_max_attempts": 1}, "read_timeout": 30}


@dataclass
class Chain:
    store: ObjectStore
    bucket: str
    interposer: Interposer
    client: S3Client
    """It speaks to the interposer, once."""
    direct: S3Client
    """It speaks to the store."""

    def put(self, key: str, body: Any) -> Any:
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=body)

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def stored(self) -> dict[str, bytes]:
        listing = self.direct.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            found["Key"]: self.direct.get_object(Bucket=self.bucket, Key=found["Key"])["Body"].read()
            for found in listing
        }


def hurried(chain: Chain) -> S3Client:
    """A client that soon gives up."""
    return chain.store.client(chain.interposer.url, **ONCE | {"read_timeout": 1})


@pytest.fixture(scope="module")
def direct(object_store: ObjectStore) -> Iterator[S3Client]:
    with closing(object_store.client()) as client:
        yield client


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str, direct: S3Client) -> Iterator[Chain]:
    with (
        interposing(object_store.url) as interposer,
        closing(object_store.client(interposer.url, **ONCE)) as client,
    ):
        yield Chain(object_store, bucket, interposer, client, direct)


@pytest.mark.parametrize("body", [BODY, io.BytesIO(BODY)], ids=["bytes", "file"])
def test_large_bodies_pass_in_both_directions(chain: Chain, body: Any) -> None:
    chain.put("a directory/ä+%.bin", body)
    assert chain.get("a directory/ä+%.bin") == BODY
    put, get = chain.interposer.requests()
    assert (put.operation, put.method, put.body_length, put.body) == ("PutObject", "PUT", len(BODY), None)
    assert (get.operation, get.method, get.body_length, get.body) == ("GetObject", "GET", 0, b"")
    assert put.path == f"/{chain.bucket}/a%20directory/%C3%A4%2B%25.bin"
    assert (put.bucket, put.key, put.status) == (chain.bucket, "a directory/ä+%.bin", 200)
    assert put.headers["CONTENT-LENGTH"] == put.headers["content-length"] == str(len(BODY))
    assert put.headers["expect"] == "100-continue"  # which boto3 always sends
    assert "expect" not in get.headers
    assert chain.interposer.connections == 1


def test_bodies_are_recorded_up_to_a_size(chain: Chain) -> None:
    chain.put("small", BODY[:RECORDED])
    chain.put("large", BODY[: RECORDED + 1])
    assert [put.body for put in chain.interposer.requests("PutObject")] == [BODY[:RECORDED], None]
    chain.interposer.clear()
    assert chain.interposer.requests() == []


def test_operations_have_the_names_of_s3(chain: Chain) -> None:
    client, bucket = chain.client, chain.bucket
    source: Any = {"Bucket": bucket, "Key": "a"}
    client.list_buckets()
    client.head_bucket(Bucket=bucket)
    chain.put("a", b"x")
    client.copy_object(Bucket=bucket, Key="b", CopySource=source)
    client.head_object(Bucket=bucket, Key="a")
    client.list_objects_v2(Bucket=bucket, Prefix="a", Delimiter="/")
    client.list_objects(Bucket=bucket)
    upload = client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    client.list_parts(Bucket=bucket, Key="m", UploadId=upload)
    client.list_multipart_uploads(Bucket=bucket)
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(Bucket=bucket, Key="m", UploadId=upload, MultipartUpload=parts)
    upload = client.create_multipart_upload(Bucket=bucket, Key="m")["UploadId"]
    client.upload_part_copy(Bucket=bucket, Key="m", UploadId=upload, PartNumber=1, CopySource=source)
    client.abort_multipart_upload(Bucket=bucket, Key="m", UploadId=upload)
    client.delete_object(Bucket=bucket, Key="a")
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}]})
    assert chain.interposer.operations() == [
        "ListBuckets",
        "HeadBucket",
        "PutObject",
        "CopyObject",
        "HeadObject",
        "ListObjectsV2",
        "ListObjects",
        "CreateMultipartUpload",
        "UploadPart",
        "ListParts",
        "ListMultipartUploads",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "UploadPartCopy",
        "AbortMultipartUpload",
        "DeleteObject",
        "DeleteObjects",
    ]
    assert chain.interposer.requests("ListObjectsV2")[0].query == {
        "list-type": "2",
        "prefix": "a",
        "delimiter": "/",
        "encoding-type": "url",
    }


def test_requests_at_the_same_time_are_all_recorded(chain: Chain) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: chain.put(str(number), BODY[:100_000]), range(40)))
    assert {put.key for put in chain.interposer.requests("PutObject")} == set(map(str, range(40)))
    assert set(chain.stored().values()) == {BODY[:100_000]}


def test_rules_are_used_in_their_order_and_as_often_as_they_say(chain: Chain) -> None:
    def is_b(request: Any) -> bool:
        return bool(request.key == "b")

    chain.interposer.on("HeadObject", answer(500))
    chain.interposer.on("PutObject", forward)
    chain.interposer.on("PutObject", answer(503), times=2)
    always = chain.interposer.on(is_b, answer(409, "Conflict"), times=None)

    def status(key: str) -> int:
        try:
            return int(chain.put(key, b"x")["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as error:
            return int(error.response["ResponseMetadata"]["HTTPStatusCode"])

    assert [status(key) for key in "ababab"] == [200, 503, 503, 409, 200, 409]
    assert always.used == 2
    assert [put.status for put in chain.interposer.requests()] == [200, 503, 503, 409, 200, 409]
    assert len(chain.interposer.unused()) == 1
    chain.interposer.forget_rules()
    assert status("b") == 200


@pytest.mark.parametrize("early", [False, True])
def test_answer(chain: Chain, early: bool) -> None:
    chain.interposer.on("PutObject", answer(503, "SlowDown", "<later>", {"Retry-After": "7"}, early=early))
    with pytest.raises(ClientError) as raised:
        chain.put("a", BODY)
    assert chain.interposer.requests()[0].body_length == (0 if early else len(BODY))
    assert raised.value.response["Error"] == {"Code": "SlowDown", "Message": "<later>"}
    assert raised.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    assert chain.stored() == {}
    chain.put("a", b"x")


@pytest.mark.parametrize("status", [304, 404, 503])
def test_answer_to_a_request_of_the_head(chain: Chain, status: int) -> None:
    chain.interposer.on("HeadObject", answer(status))
    with pytest.raises(ClientError, match=str(status)):
        chain.client.head_object(Bucket=chain.bucket, Key="a")
    chain.put("a", b"x")
    assert chain.interposer.connections == 1


@pytest.mark.parametrize(
    "action", [refuse, raw(b"no HTTP\r\n\r\n"), raw(b"")], ids=["refuse", "raw", "nothing"]
)
def test_the_store_learns_of_nothing(chain: Chain, action: Action) -> None:
    chain.interposer.on("PutObject", action)
    with pytest.raises((HTTPClientError, ConnectionClosedError)):
        chain.put("a", io.BytesIO(BODY))
    assert chain.stored() == {}
    assert chain.interposer.requests()[0].status is None
    chain.put("a", b"x")


def test_cut_after_forwarding(chain: Chain) -> None:
    chain.interposer.on("PutObject", cut_after_forwarding)
    with pytest.raises(ConnectionClosedError):
        chain.put("a", b"x")
    assert chain.stored() == {"a": b"x"}


def test_replace_body(chain: Chain) -> None:
    text = b"<Error><Code>InternalError</Code><Message>no</Message></Error>"
    chain.interposer.on("CompleteMultipartUpload", replace_body(200, text))
    upload: Any = {"Bucket": chain.bucket, "Key": "m"}
    upload["UploadId"] = chain.client.create_multipart_upload(**upload)["UploadId"]
    part = chain.client.upload_part(**upload, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError, match="InternalError"):
        chain.client.complete_multipart_upload(
            **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
    assert chain.stored() == {"m": b"x"}


@pytest.mark.parametrize("action", [hang, hang_before_body])
def test_hanging(chain: Chain, action: Action) -> None:
    chain.interposer.on("PutObject", action)
    with closing(hurried(chain)) as client, pytest.raises(ReadTimeoutError):
        client.put_object(Bucket=chain.bucket, Key="a", Body=b"x")
    assert chain.stored() == {}
    assert chain.interposer.requests()[0].body_length == (1 if action is hang else 0)


def test_hanging_before_a_large_body(chain: Chain) -> None:
    chain.interposer.on("PutObject", hang_before_body)
    size = 64 * 1024 * 1024  # more than what a connection holds
    head = f"PUT /{chain.bucket}/a HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
    with connection(chain.interposer.url) as connected:
        connected.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connected.sendall(head + bytes(size))
    assert chain.interposer.requests()[0].body_length == 0


@pytest.mark.parametrize("count", [0, 1_000_000])
def test_cut_body(chain: Chain, count: int) -> None:
    chain.put("a", BODY)
    chain.interposer.on("GetObject", cut_body(count))
    body = chain.client.get_object(Bucket=chain.bucket, Key="a")["Body"]
    time.sleep(0.1)  # whatever has been sent arrives also at a reader who is late
    assert b"".join(body.read(1000) for _ in range(count // 1000)) == BODY[:count]
    with closing(body), pytest.raises((ResponseStreamingError, ConnectionResetError)):
        body.read(1)


def test_cut_body_of_a_listing(chain: Chain) -> None:
    chain.interposer.on("ListObjectsV2", cut_body(20))
    with pytest.raises((ConnectionClosedError, HTTPClientError, ResponseStreamingError)):
        chain.client.list_objects_v2(Bucket=chain.bucket)


def test_stall_body(chain: Chain) -> None:
    chain.put("a", BODY)
    chain.interposer.on("GetObject", stall_body(1000))
    with closing(hurried(chain)) as client:
        body = client.get_object(Bucket=chain.bucket, Key="a")["Body"]
        assert body.read(1000) == BODY[:1000]
        with closing(body), pytest.raises(ReadTimeoutError):
            body.read(1)


@pytest.mark.parametrize("offset", [0, 5_000_000])
def test_flip_request_byte(chain: Chain, offset: int) -> None:
    chain.interposer.on("PutObject", flip_request_byte(offset))
    digest = base64.b64encode(hashlib.md5(BODY, usedforsecurity=False).digest()).decode()
    with pytest.raises(ClientError, match="BadDigest"):
        chain.client.put_object(Bucket=chain.bucket, Key="a", Body=BODY, ContentMD5=digest)
    assert chain.stored() == {}


@pytest.mark.parametrize("offset", [0, 5_000_000])
def test_flip_response_byte(chain: Chain, offset: int) -> None:
    chain.put("a", BODY)
    chain.interposer.on("GetObject", flip_response_byte(offset))
    got = chain.get("a")
    assert len(got) == len(BODY)
    assert [at for at in range(len(BODY)) if got[at] != BODY[at]] == [offset]


def test_delay(chain: Chain) -> None:
    chain.interposer.on("PutObject", delay(0.3))
    chain.interposer.on("PutObject", delay(0.1, then=answer(503)))
    start = time.monotonic()
    chain.put("a", b"x")
    with pytest.raises(ClientError, match="SlowDown"):
        chain.put("a", b"x")
    assert time.monotonic() - start >= 0.4


def test_a_store_that_is_not_there_is_a_reset(unused_url: str, object_store: ObjectStore) -> None:
    with (
        interposing(unused_url) as interposer,
        closing(object_store.client(interposer.url, **ONCE)) as client,
    ):
        with pytest.raises(ConnectionClosedError):
            client.list_buckets()
        assert interposer.operations() == ["ListBuckets"]


@pytest.fixture
def unused_url(object_store: ObjectStore) -> str:
    with interposing(object_store.url) as ended:
        return ended.url


def test_tls_with_a_private_authority(object_store: ObjectStore, bucket: str, tmp_path: Path) -> None:
    authority = private_authority(tmp_path)
    assert authority.ca_file == tmp_path / "ca.pem"
    with interposing(object_store.url, tls=authority.tls) as interposer:
        assert interposer.url.startswith("https://")
        trusting = object_store.client(interposer.url, verify=str(authority.ca_file), **ONCE)
        with closing(trusting) as client:
            client.put_object(Bucket=bucket, Key="a", Body=io.BytesIO(BODY))
            assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY
            interposer.on("PutObject", refuse)
            with pytest.raises((ConnectionClosedError, SSLError)):
                client.put_object(Bucket=bucket, Key="a", Body=b"x")
            interposer.on("GetObject", cut_body(1000))
            with pytest.raises((ResponseStreamingError, ConnectionResetError, SSLError)):
                client.get_object(Bucket=bucket, Key="a")["Body"].read()
        (tmp_path / "other").mkdir()
        other = private_authority(tmp_path / "other")
        with (
            closing(object_store.client(interposer.url, verify=str(other.ca_file), **ONCE)) as doubting,
            pytest.raises(SSLError),
        ):
            doubting.list_buckets()
    assert interposer.operations() == ["PutObject", "GetObject", "PutObject", "GetObject"]


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_the_end_does_not_wait_for_anybody(object_store: ObjectStore, tmp_path: Path, secure: bool) -> None:
    authority = private_authority(tmp_path)
    of_others = set(threading.enumerate())
    with interposing(object_store.url, tls=authority.tls if secure else None) as interposer:
        interposer.on("ListBuckets", hang)
        interposer.on("HeadBucket", delay(60))
        client = object_store.client(interposer.url, verify=str(authority.ca_file), **ONCE)
        with closing(client), ThreadPoolExecutor() as pool:
            listed = pool.submit(client.list_buckets)
            headed = pool.submit(client.head_bucket, Bucket="none")
            wait_until(lambda: len(interposer.requests()) == 2, "two requests")
            start = time.monotonic()
            interposer.close()
            assert time.monotonic() - start < 30  # and so not for the delay
            assert isinstance(listed.exception(), (ConnectionClosedError, SSLError))
            assert headed.exception()
    ours = set(threading.enumerate()) - of_others
    assert "interposer" not in {thread.name for thread in ours}
