"""Pages of listings and the times in answers are read as botocore reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session
from botocore.utils import parse_timestamp
from urllib3 import HTTPHeaderDict

from app.storage.s3.page import read_page
from app.storage.s3.timestamps import timestamp

EVENT = "before-parse.s3.ListObjectsV2"
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
OBJECT = (
    "<Contents><Key>p/a</Key><LastModified>2024-02-03T04:05:06.000Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>"
)
PREFIXES = "<CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes>"
PAGES = {
    "empty": "<IsTruncated>false</IsTruncated>",
    "of everything": "<Name>b</Name><Prefix>p/</Prefix><KeyCount>3</KeyCount><IsTruncated>true</IsTruncated>"
    f"<NextContinuationToken>t=</NextContinuationToken>{OBJECT}{OBJECT}{PREFIXES}{PREFIXES}",
    "of encoded keys": "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
    "<Contents><Key>p/%C3%BC%2B</Key><Size>1</Size></Contents>"
    "<CommonPrefixes><Prefix>p/%C3%BC/</Prefix></CommonPrefixes>",
    "of keys in other alphabets": "<Contents><Key>p/ü&amp;&lt;日本 </Key><Size>1</Size></Contents>",
    "of an empty key": "<Contents><Key/><Size>1</Size></Contents><CommonPrefixes><Prefix/></CommonPrefixes>",
    "of nothing but objects": "<Contents/><CommonPrefixes/>",
    "with an odd truth": "<IsTruncated>TRUE</IsTruncated>",
    "with an empty token": "<IsTruncated>true</IsTruncated><NextContinuationToken/>",
    "with a size that is none": OBJECT.replace("7", "seven"),
    "with a time that is none": OBJECT.replace("2024-02", "yesterday"),
    "with what is new": f"<New><Key>x</Key></New>{OBJECT.replace('</ETag>', '</ETag><New>1</New>')}",
}
NO_PAGES = {
    "an error": (200, b"<Error><Code>InternalError</Code><Message>m</Message></Error>"),
    "an error that says so": (404, b"<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>"),
    "an error with a page": (500, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"),
    "a web page": (200, b"<html><body>Hello</body></html>"),
    "no XML": (200, b"hello"),
    "nothing": (200, b""),
    "half a page": (200, b"<ListBucketResult><Contents>"),
}
USED = ("Key", "Size", "LastModified", "ETag")


class Body(BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with closing(
        Session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url="http://127.0.0.1:1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",  # noqa: S106 - opens nothing
        )
    ) as made:
        yield made


def listed(client: Any, status: int, body: bytes, *, by_us: bool) -> Any:
    """What a client says whose store answers so, or of which kind its exception is."""

    def send(**_: object) -> AWSResponse:
        return AWSResponse("", status, cast(Any, HTTPHeaderDict()), cast(Any, Body(body)))

    handlers: dict[str, Any] = {"before-send.s3": send, "needs-retry.s3": lambda **_: False}
    if by_us:
        handlers[EVENT] = read_page
    for event, handler in handlers.items():
        client.meta.events.register_first(event, handler)
    try:
        page = client.list_objects_v2(Bucket="b", Prefix="p/")
    except (ClientError, ResponseParserError, ValueError) as error:
        return type(error), getattr(error, "operation_name", None)
    finally:
        for event, handler in handlers.items():
            client.meta.events.unregister(event, handler)
    return (
        page.get("IsTruncated"),
        page.get("NextContinuationToken"),
        [{name: found[name] for name in USED if name in found} for found in page.get("Contents", ())],
        [found.get("Prefix") for found in page.get("CommonPrefixes", ())],
        page["ResponseMetadata"]["HTTPStatusCode"],
    )


@pytest.mark.parametrize("namespace", ["", NAMESPACE], ids=["plain", "namespace"])
@pytest.mark.parametrize("what", PAGES)
def test_a_page_says_what_it_says_to_botocore(what: str, namespace: str, client: Any) -> None:
    body = f"<ListBucketResult{namespace}>{PAGES[what]}</ListBucketResult>".encode()
    assert listed(client, 200, body, by_us=True) == listed(client, 200, body, by_us=False)


@pytest.mark.parametrize("encoding", ["ISO-8859-1", "US-ASCII", "unheard-of", "gb2312"])
def test_a_page_is_in_utf_8_whatever_it_says_of_its_encoding(encoding: str, client: Any) -> None:
    page = "<ListBucketResult><Contents><Key>p/ü</Key><Size>1</Size></Contents></ListBucketResult>"
    body = f'<?xml version="1.0" encoding="{encoding}"?>{page}'.encode()
    assert listed(client, 200, body, by_us=True) == listed(client, 200, body, by_us=False)


@pytest.mark.parametrize("what", NO_PAGES)
def test_what_is_no_page_is_judged_by_botocore(what: str, client: Any) -> None:
    status, body = NO_PAGES[what]
    assert listed(client, status, body, by_us=True) == listed(client, status, body, by_us=False)


@pytest.mark.parametrize("namespace", ["", NAMESPACE], ids=["plain", "namespace"])
def test_a_page_leaves_botocore_nothing_to_read(namespace: str) -> None:
    body = f"<ListBucketResult{namespace}>{OBJECT}</ListBucketResult>".encode()
    answer: dict[str, Any] = {"status_code": 200, "body": body}
    page: dict[str, Any] = {}
    read_page(answer, page)
    assert [found["Key"] for found in page["Contents"]] == ["p/a"]
    assert b"Contents" not in answer["body"]


@pytest.mark.parametrize(
    "text",
    [
        "Sat, 03 Feb 2024 04:05:06 GMT",
        "Sat, 03 Feb 2024 04:05:06 +0100",
        "Sat, 03 Feb 2024 04:05:06 -0000",
        "Sat, 03 Feb 2024 04:05:06",
        "Sat Feb  3 04:05:06 2024",
        "2024-02-03T04:05:06.000Z",
        "2024-02-03T04:05:06.123456Z",
        "2024-02-03T04:05:06Z",
        "2024-02-03T04:05:06+01:00",
        "2024-02-03T04:05:06",
        "20240203T040506Z",
        "20240203",
        "1706933106",
        "1706933106.5",
    ],
)
def test_a_time_is_the_one_that_botocore_reads(text: str) -> None:
    expected = parse_timestamp(text)
    assert timestamp(text) == expected
    assert timestamp(text).utcoffset() == expected.utcoffset()


def test_seconds_are_a_time_as_they_are_to_botocore() -> None:
    assert timestamp(1700000000) == parse_timestamp("1700000000")
    assert timestamp(1700000000.5) == parse_timestamp("1700000000.5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-99-03T04:05:06Z",
        "Sat, 99 Feb 2024 04:05:06 GMT",
        "Sat, 03 Feb 99999999999 04:05:06 GMT",
    ],
)
def test_a_time_that_is_none_is_refused_as_by_botocore(text: str) -> None:
    with pytest.raises((ValueError, RuntimeError)) as expected:
        parse_timestamp(text)
    with pytest.raises(expected.type):
        timestamp(text)
