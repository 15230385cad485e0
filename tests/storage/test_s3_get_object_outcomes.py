"""What comes of reads after the first one, which are copies of its request: the same as of botocore's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier
from typing import Any, cast
from unittest.mock import patch

import pytest

from app.errors import (
    ArtifactError,
    ArtifactNotFound,
    StorageError,
    StorageMisbehaved,
    StoragePermissionDenied,
    StorageTimeout,
    StorageUnreachable,
)
from app.storage.ranges import ByteRange
from tests.support.artifacts import get, path, put
from tests.support.interposer_actions import Action, answer, hang, raw, refuse
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PREFIX, Chain, chained
from tests.support.scraping import here

SENT_BY_BOTOCORE = "amz-sdk-invocation-id"


@pytest.fixture(scope="module")
def one_chain(object_store: ObjectStore) -> Iterator[Chain]:
    bucket = object_store.make_bucket()
    with chained(object_store, bucket, attempts=3, s3_timeout=2) as opened:
        for name in NAMES:
            put(opened.storage, name, name.encode())
        yield opened
    object_store.remove_bucket(bucket)


@pytest.fixture
def chain(one_chain: Chain) -> Iterator[Chain]:
    """One whose next GetObject is a copy."""
    for _ in range(2):
        get(one_chain.storage, "0")
    one_chain.interposer.clear()
    yield one_chain
    one_chain.interposer.forget_rules()


NAMES = ["0", "1", "2"]


def own(chain: Chain) -> list[bool]:
    """Of each GetObject that came, whether botocore has sent it itself."""
    return [SENT_BY_BOTOCORE in request.headers for request in chain.interposer.requests("GetObject")]


def retries() -> float:
    return here().value("artifact_proxy_storage_retries_total", operation="GetObject")


def changed(pattern: bytes, replacement: bytes) -> Action:
    def act(exchange: Exchange) -> None:
        response = exchange.forward()
        response.head, found = re.subn(pattern, replacement, response.head)
        assert found == 1
        exchange.reply(response)

    return act


class TestAFault:
    """A copy whose outcome is no success counts as the first attempt of botocore's own request."""

    @pytest.mark.parametrize("action", [answer(503), refuse], ids=["throttled", "refused"])
    def test_is_repeated_by_botocore(self, chain: Chain, action: Action) -> None:
        before = retries()
        chain.interposer.on("GetObject", action, times=2)
        assert get(chain.storage, "1") == b"1"
        assert own(chain) == [False, True, True]
        assert retries() - before == 2
        # What is copied was not repeated: its cost would be given back for each copy.
        for _ in range(2):
            assert get(chain.storage, "2") == b"2"
        assert own(chain)[3:] == [True, False]

    @pytest.mark.parametrize(
        ("action", "kind", "count"),
        [
            (refuse, StorageUnreachable, 3),
            (hang, StorageTimeout, 1),
            (answer(403, "AccessDenied"), StoragePermissionDenied, 1),
            (raw(b"nonsense\r\n\r\n"), StorageUnreachable, 3),
        ],
        ids=["refused", "silent", "denied", "nonsense"],
    )
    def test_that_lasts_is_told_after_as_many_requests_as_ever(
        self, chain: Chain, action: Action, kind: type[StorageError], count: int
    ) -> None:
        chain.interposer.on("GetObject", action, times=None)
        with pytest.raises(kind) as told:
            get(chain.storage, "1")
        assert type(told.value) is kind
        assert len(own(chain)) == count

    def test_is_none_where_there_is_no_artifact_and_that_is_asked_once(self, chain: Chain) -> None:
        with pytest.raises(ArtifactNotFound):
            get(chain.storage, "missing")
        assert own(chain) == [False]

    def test_of_credentials_sends_nothing(self, chain: Chain) -> None:
        def fail(**_: object) -> None:
            raise ValueError("no credentials today")

        events = cast(Any, chain.storage)._bucket.client.meta.events
        events.register("before-sign.s3.GetObject", fail)
        try:
            with pytest.raises(StorageMisbehaved):
                get(chain.storage, "1")
        finally:
            events.unregister("before-sign.s3.GetObject", fail)
        assert own(chain) == []
        assert get(chain.storage, "1") == b"1"

    def test_is_that_of_its_own_thread(self, chain: Chain) -> None:
        both = Barrier(2, timeout=20)
        client = cast(Any, chain.storage)._bucket.client
        chain.interposer.on(lambda request: request.key == f"{PREFIX}1", answer(403, "AccessDenied"))

        def wait(**_: object) -> None:
            both.wait()

        def kind(name: str) -> type[Exception]:
            with pytest.raises(ArtifactError) as told:
                get(chain.storage, name)
            return told.type

        # Once botocore was told of both outcomes, and before it asks for them.
        client.meta.events.register("before-call.s3.GetObject", wait)
        try:
            with ThreadPoolExecutor(2) as pool:
                kinds = list(pool.map(kind, ["1", "missing"]))
        finally:
            client.meta.events.unregister("before-call.s3.GetObject", wait)
        assert kinds == [StoragePermissionDenied, ArtifactNotFound]


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("pattern", "replacement"),
        [
            (rb"(?im)^ETag:.*\n", b""),
            (rb"(?im)^Content-Length:.*$", b"Transfer-Encoding: chunked\r"),
            (rb"(?im)^Last-Modified:.*$", b"Last-Modified: yesterday\r"),
        ],
        ids=["version", "size", "sensible time"],
    )
    def test_without_one_makes_no_sense(self, chain: Chain, pattern: bytes, replacement: bytes) -> None:
        chain.interposer.on("GetObject", changed(pattern, replacement))
        with pytest.raises(StorageMisbehaved):
            get(chain.storage, "1")
        assert own(chain) == [False]

    def test_needs_no_time(self, chain: Chain) -> None:
        chain.interposer.on("GetObject", changed(rb"(?im)^Last-Modified:.*\n", b""))
        with closing(chain.storage.read(path("1"))) as download:
            assert b"".join(download) == b"1"
            assert download.entry.modified is None

    def test_tells_the_same_as_botocore(self, chain: Chain) -> None:
        with closing(chain.storage.read(path("1"), ByteRange(0, 0))) as download:
            copied = download.entry, download.span
        with (
            patch.dict(os.environ, {"AWS_RETRY_MODE": "adaptive"}),
            chained(chain.store, chain.bucket) as other,
            closing(other.storage.read(path("1"), ByteRange(0, 0))) as download,
        ):
            assert copied == (download.entry, download.span)
            assert own(other) == [True]
