"""P13: what is damaged on its way to the store is noticed; and on its way back, where something covers it.

On the way to the store Content-MD5 covers every byte. On the way back there is TLS, or a checksum
that the store keeps, where the operator has switched those on: plain HTTP alone has nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.errors import StorageMisbehaved
from tests.support.artifacts import get, path, put
from tests.support.interposer_actions import flip_request_byte, flip_response_byte
from tests.support.interposer_exchange import Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import MIB, PART, PREFIX, Chain, chained
from tests.support.s3_front import Front
from tests.support.s3_requests import artifact_requests, md5_header
from tests.support.s3_variables import served

DATA = os.urandom(4 * MIB)
LARGE = os.urandom(PART + 1)
"""Two parts."""
CHECKSUMS = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_supported",
}


@pytest.mark.parametrize(
    ("operation", "data", "offset"),
    [
        ("PutObject", DATA, 0),
        ("PutObject", DATA, len(DATA) - 1),
        ("UploadPart", LARGE, 0),
        ("UploadPart", LARGE, PART - 1),
    ],
)
def test_p13_one_byte_flipped_on_the_way_to_the_store_is_an_error_and_nothing_appears(
    front: Front, folder: str, operation: str, data: bytes, offset: int
) -> None:
    front.put(f"{folder}/a", b"old")
    keys = {f"{PREFIX}{folder}/{name}" for name in ("a", "new/b")}

    def concerns(request: Request) -> bool:
        part = request.query.get("partNumber", "1")
        return (request.operation, part) == (operation, "1") and request.key in keys

    rule = front.interposer.on(concerns, flip_request_byte(offset), times=len(keys))
    for name in ("a", "new/b"):
        told = front.put(f"{folder}/{name}", data)
        assert (told.status_code, told.json()["error_code"]) == (502, "TEMPORARILY_UNAVAILABLE")
    assert rule.used == len(keys)
    assert front.get(f"{folder}/a").content == b"old"
    assert front.get(f"{folder}/new/b").status_code == 404
    assert front.leftovers() == []


def test_p13_every_byte_that_goes_to_the_store_is_covered_by_a_digest(front: Front, folder: str) -> None:
    """Not every store compares the one that is signed when there is no TLS."""
    front.put(f"{folder}/small", b"data")
    front.put(f"{folder}/large", LARGE)
    (small,) = artifact_requests(front.interposer, "PutObject")
    parts = front.interposer.requests("UploadPart")
    assert small.headers["content-md5"] == md5_header(b"data")
    assert [part.headers["content-md5"] for part in sorted(parts, key=lambda part: part.body_length)] == [
        md5_header(LARGE[PART:]),
        md5_header(LARGE[:PART]),
    ]


@pytest.fixture
def checked(second_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """A store that keeps checksums, which are switched on."""
    for name, value in CHECKSUMS.items():
        monkeypatch.setenv(name, value)
    bucket = second_store.make_bucket()
    with chained(second_store, bucket) as opened:
        put(opened.storage, "a", DATA)
        yield opened
    second_store.remove_bucket(bucket)


@pytest.mark.parametrize("offset", [0, MIB + 5, len(DATA) - 1])
def test_p13_one_byte_flipped_on_the_way_back_is_noticed_by_checksums_before_the_last_byte(
    checked: Chain, offset: int
) -> None:
    checked.interposer.on("GetObject", flip_response_byte(offset))
    chunks: list[bytes] = []
    with closing(checked.storage.read(path("a"))) as download, pytest.raises(StorageMisbehaved):
        chunks.extend(download)
    assert len(b"".join(chunks)) < len(DATA)
    assert get(checked.storage, "a") == DATA


def test_p13_one_byte_flipped_on_the_way_back_makes_a_checked_download_visibly_short(
    checked: Chain, tmp_path: Path
) -> None:
    variables = checked.store.environment(checked.interposer.url) | CHECKSUMS
    with served(f"s3://{checked.bucket}/{PREFIX}", variables, tmp_path) as server:
        checked.interposer.on("GetObject", flip_response_byte(len(DATA) - 1))
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{server.native}/a", timeout=30)
        assert httpx.get(f"{server.native}/a", timeout=30).content == DATA


def test_p13_one_byte_flipped_on_the_way_back_is_not_noticed_over_plain_http_without_checksums(
    front: Front, folder: str
) -> None:
    """Nothing that a store sends of its own accord covers the body: this is not promised."""
    front.put(f"{folder}/a", DATA)
    front.interposer.on("GetObject", flip_response_byte(MIB))
    expected = DATA[:MIB] + bytes([DATA[MIB] ^ 1]) + DATA[MIB + 1 :]
    assert front.get(f"{folder}/a").content == expected
    assert front.get(f"{folder}/a").content == DATA
