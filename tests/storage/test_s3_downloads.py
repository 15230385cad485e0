"""Downloads from S3 whose connection breaks: they go on with the same version, or are visibly short."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from urllib3.exceptions import ProtocolError

from app.errors import (
    ArtifactIsDirectory,
    ArtifactNotFound,
    StorageError,
    StorageMisbehaved,
    StorageTimeout,
    StorageUnavailable,
    StorageUnreachable,
)
from app.storage.base import Download, Storage
from app.storage.entry import Entry
from app.storage.ranges import ByteRange, Span
from app.storage.s3.bucket import Bucket
from app.storage.s3.download import S3Download
from app.storage.s3.root import S3Root
from tests.support.artifacts import get, path, put
from tests.support.interposer_actions import (
    Action,
    answer,
    cut_body,
    hang,
    refuse,
    stall_body,
)
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.private_authority import private_authority
from tests.support.s3_chain import MIB, PREFIX, Chain, chained, opened

DATA = os.urandom(4 * MIB)
OTHER = os.urandom(4 * MIB)


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        put(opened.storage, "a", DATA)
        yield opened


@pytest.fixture
def hasty(chain: Chain) -> Iterator[Storage]:
    """For a store that hangs: the same root, behind the same interposer."""
    url = chain.interposer.url
    with closing(opened(chain.store, url, chain.bucket, s3_timeout=2)) as storage:
        yield storage


def received(download: Download) -> tuple[bytes, StorageError | None]:
    """What came, and the error that ended it."""
    data = b""
    try:
        for chunk in download:
            data += chunk
    except StorageError as error:
        return data, error
    finally:
        download.close()
    return data, None


class TestABrokenConnection:
    @pytest.mark.parametrize("after", [0, 1, MIB - 1, MIB, 3 * MIB + 17, len(DATA) - 1])
    def test_is_made_anew_where_it_broke(self, chain: Chain, after: int) -> None:
        chain.interposer.on("GetObject", cut_body(after))
        etag = chain.storage.stat(path("a")).etag
        assert get(chain.storage, "a") == DATA
        first, second = chain.interposer.requests("GetObject")
        assert "range" not in first.headers
        start = int(second.headers["range"].removeprefix("bytes=").partition("-")[0])
        # What was received of a chunk that did not become whole is asked for again.
        assert max(0, after - MIB) <= start <= after
        assert second.headers["range"] == f"bytes={start}-{len(DATA) - 1}"
        assert second.headers["if-match"] == f'"{etag}"'

    def test_of_a_range_goes_on_within_it(self, chain: Chain) -> None:
        chain.interposer.on("GetObject", cut_body(MIB + 5))
        with closing(chain.storage.read(path("a"), ByteRange(100, 3 * MIB))) as download:
            assert download.span == Span(100, 3 * MIB + 1)
            assert b"".join(download) == DATA[100 : 3 * MIB + 1]
        first, second = chain.interposer.requests("GetObject")
        assert first.headers["range"] == f"bytes=100-{3 * MIB}"
        assert second.headers["range"].endswith(f"-{3 * MIB}")

    def test_may_break_as_often_as_it_brings_bytes(self, chain: Chain) -> None:
        chain.interposer.on("GetObject", cut_body(MIB // 4), times=3)
        chain.interposer.on("GetObject", cut_body(MIB // 2 + 1), times=3)
        assert get(chain.storage, "a") == DATA
        assert len(chain.interposer.requests("GetObject")) == 7

    @pytest.mark.parametrize("action", [cut_body(0), refuse], ids=["cut", "refused"])
    def test_that_brings_nothing_any_more_ends_the_download(self, chain: Chain, action: Action) -> None:
        chain.interposer.on("GetObject", cut_body(2 * MIB))
        chain.interposer.on("GetObject", action, times=None)
        data, error = received(chain.storage.read(path("a")))
        assert isinstance(error, StorageUnreachable)
        assert DATA.startswith(data)
        assert len(data) <= 2 * MIB
        assert 2 <= len(chain.interposer.requests("GetObject")) <= 6

    def test_is_not_made_anew_with_another_version(self, chain: Chain) -> None:
        chain.interposer.on("GetObject", cut_body(2 * MIB))
        download = chain.storage.read(path("a"))
        first = next(download)
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}a", Body=OTHER)
        rest, error = received(download)
        assert isinstance(error, StorageMisbehaved)
        assert "another one by now" in str(error)
        assert DATA.startswith(first + rest)
        assert len(first + rest) <= 2 * MIB
        assert get(chain.storage, "a") == OTHER

    def test_of_an_artifact_that_is_gone_ends_the_download(self, chain: Chain) -> None:
        chain.interposer.on("GetObject", cut_body(2 * MIB))
        download = chain.storage.read(path("a"))
        next(download)
        chain.direct.delete_object(Bucket=chain.bucket, Key=f"{PREFIX}a")
        data, error = received(download)
        assert isinstance(error, StorageMisbehaved)
        assert len(data) < len(DATA)

    @pytest.mark.parametrize(
        ("action", "kind"),
        [
            (answer(503, "SlowDown"), StorageUnavailable),
            (answer(500, "InternalError"), StorageMisbehaved),
        ],
        ids=["throttled", "error"],
    )
    def test_whose_repetition_fails_ends_the_download(
        self, chain: Chain, action: Action, kind: type[StorageError]
    ) -> None:
        chain.interposer.on("GetObject", cut_body(2 * MIB))
        chain.interposer.on("GetObject", action)
        data, error = received(chain.storage.read(path("a")))
        assert type(error) is kind
        assert len(data) < len(DATA)

    def test_with_a_store_that_cannot_give_ranges_ends_the_download(self, chain: Chain) -> None:
        """It would give the first bytes where later ones are wanted."""

        def whole(exchange: Exchange) -> None:
            headers = {"ETag": exchange.request.headers["if-match"], "Content-Type": "text/plain"}
            exchange.drain()
            exchange.send(200, DATA, headers)

        chain.interposer.on("GetObject", cut_body(2 * MIB))
        chain.interposer.on("GetObject", whole)
        data, error = received(chain.storage.read(path("a")))
        assert isinstance(error, StorageMisbehaved)
        assert DATA.startswith(data)
        assert len(data) <= 2 * MIB


class TestTls:
    @pytest.fixture
    def chain(self, object_store: ObjectStore, bucket: str, tmp_path: Path) -> Iterator[Chain]:
        authority = private_authority(tmp_path)
        with chained(object_store, bucket, tls=authority.tls, s3_ca_bundle=str(authority.ca_file)) as opened:
            put(opened.storage, "a", DATA)
            yield opened

    @staticmethod
    def garble(exchange: Exchange) -> None:
        """Bytes in the middle that are none of TLS."""
        response = exchange.forward()
        with suppress(OSError):
            exchange._client.send(response.head + DATA[:MIB])
            socket.socket.send(exchange._client._socket, bytes(100_000))
        exchange.reset()

    @pytest.mark.parametrize("action", [cut_body(2 * MIB), garble], ids=["cut", "garbled"])
    def test_that_breaks_is_a_broken_connection(self, chain: Chain, action: Action) -> None:
        chain.interposer.on("GetObject", action)
        assert get(chain.storage, "a") == DATA
        assert len(chain.interposer.requests("GetObject")) == 2


class TestSilence:
    def test_in_the_middle_is_waited_for_once(self, chain: Chain, hasty: Storage) -> None:
        chain.interposer.on("GetObject", stall_body(2 * MIB), times=None)
        data, error = received(hasty.read(path("a")))
        assert isinstance(error, StorageTimeout)
        assert DATA.startswith(data)
        assert len(data) <= 2 * MIB
        assert len(chain.interposer.requests("GetObject")) == 1

    def test_of_a_repetition_ends_the_download(self, chain: Chain, hasty: Storage) -> None:
        chain.interposer.on("GetObject", cut_body(2 * MIB))
        chain.interposer.on("GetObject", hang)
        data, error = received(hasty.read(path("a")))
        assert type(error) is StorageTimeout
        assert len(data) < len(DATA)


class TestOneVersion:
    def test_is_what_a_download_gives_although_it_is_replaced_or_deleted(self, chain: Chain) -> None:
        for change in (
            lambda: put(chain.storage, "a", OTHER),
            lambda: chain.storage.delete(path("a")),
        ):
            before = get(chain.storage, "a")
            with closing(chain.storage.read(path("a"))) as download:
                first = next(download)
                change()
                rest, error = received(download)
            # Short where the store had not sent it yet, and mixed never.
            assert before.startswith(first + rest)
            assert error is not None or first + rest == before

    def test_that_comes_and_goes_is_never_an_error_of_the_storage(self, chain: Chain) -> None:
        """It is asked twice where the first answer is that there is none."""

        def comes(exchange: Exchange) -> None:
            exchange.reply(exchange.forward())
            chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}b", Body=b"new")

        chain.interposer.on("GetObject", comes)
        with pytest.raises(ArtifactNotFound):
            get(chain.storage, "b")
        assert get(chain.storage, "b") == b"new"
        put(chain.storage, "d/x")
        with pytest.raises(ArtifactIsDirectory):
            get(chain.storage, "d")


def test_a_download_that_is_closed_early_asks_for_no_more(chain: Chain) -> None:
    for _ in range(5):
        with closing(chain.storage.read(path("a"))) as download:
            next(download)
    assert len(chain.interposer.requests("GetObject")) == 5
    assert get(chain.storage, "a") == DATA


def test_a_small_download_leaves_the_connection_for_the_next_request(chain: Chain) -> None:
    put(chain.storage, "small", b"x")
    before = chain.interposer.connections
    for _ in range(5):
        with closing(chain.storage.read(path("small"))) as download:
            next(download)
        with closing(chain.storage.read(path("small"))):
            pass
    assert chain.interposer.connections == before


class BrokenBody:
    """Gives so many bytes, and then nothing but an error."""

    def __init__(self, data: bytes) -> None:
        self._data = BytesIO(data)

    def read(self, count: int) -> bytes:
        data = self._data.read(count)
        if not data:
            raise ProtocolError("broken")
        return data

    def close(self) -> None:
        pass


class OneAnswer:
    """What a download asks of a bucket, which answers once, whatever it is asked for."""

    root = S3Root("bucket", "")

    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, str]] = []

    def call(self, operation: str, **parameters: str) -> dict[str, Any]:
        assert operation == "GetObject"
        self.asked.append(parameters)
        return self.answer


class TestAResumptionThatIsNotTheRestOfTheSame:
    """From stores that take no notice of If-Match or of Range: what they give is not mixed in."""

    WHOLE = b"0123456789"
    RIGHT: ClassVar[dict[str, Any]] = {"ETag": '"one"', "ContentRange": "bytes 4-9/10", "ContentLength": 6}
    WRONG: ClassVar[dict[str, dict[str, Any]]] = {
        "another version": {"ETag": '"other"'},
        "no version": {"ETag": None},
        "the whole": {"ContentRange": None, "ContentLength": 10},
        "no range": {"ContentRange": None},
        "another size": {"ContentRange": "bytes 4-9/11"},
        "no size": {"ContentRange": "bytes 4-9/*"},
        "an earlier range": {"ContentRange": "bytes 0-9/10", "ContentLength": 10},
        "a later range": {"ContentRange": "bytes 5-9/10", "ContentLength": 5},
        "less": {"ContentRange": "bytes 4-8/10", "ContentLength": 5},
    }

    def resumed(self, change: dict[str, Any]) -> tuple[bytes, StorageError | None, BytesIO]:
        rest = BytesIO(b"456789" if not change else b"ABCDEFGHIJ")
        given = {name: value for name, value in (self.RIGHT | change).items() if value is not None}
        bucket = OneAnswer(given | {"Body": rest})
        entry = Entry(path("a"), size=10, etag="one")
        body = BrokenBody(self.WHOLE[:4])
        data, error = received(S3Download(cast(Bucket, bucket), entry, Span(0, 10), body))
        assert bucket.asked == [{"Key": "a", "Range": "bytes=4-9", "IfMatch": '"one"'}]
        return data, error, rest

    @pytest.mark.parametrize("what", WRONG)
    def test_ends_the_download(self, what: str) -> None:
        data, error, body = self.resumed(self.WRONG[what])
        assert isinstance(error, StorageMisbehaved)
        assert data == self.WHOLE[:4]
        assert body.closed

    def test_is_told_from_the_rest_of_the_same(self) -> None:
        data, error, _ = self.resumed({})
        assert error is None
        assert data == self.WHOLE
