"""Deleting trees of any size, page by page, and nothing beside them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import PathConflict, StoragePermissionDenied
from tests.support.artifacts import names, path, paths, put
from tests.support.interposer_actions import cut_after_forwarding, replace_body
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PREFIX, Chain, chained

MARKER = "text-of-the-store-that-is-nobodys-business"
MANY = 1003
"""More than the 1000 keys that one request of S3 lists or deletes."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


def fill(chain: Chain) -> None:
    def put_one(number: int) -> None:
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}a/{number % 3}/{number:04}", Body=b"")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put_one, range(MANY)))


def test_a_large_tree_is_listed_and_deleted_in_pages(chain: Chain) -> None:
    fill(chain)
    for spared in ("ab", "a-", "a.b/c", "b/a"):
        put(chain.storage, spared)
    assert len(paths(chain.storage, "a")) == MANY
    chain.interposer.clear()
    chain.storage.delete(path("a"))
    batches = chain.interposer.requests("DeleteObjects")
    assert len(batches) >= 2
    for batch in batches:
        assert batch.body is not None
        assert batch.body.count(b"<Key>") <= 1000
        assert batch.headers["content-md5"]
    assert set(chain.artifacts()) == {"ab", "a-", "a.b/c", "b/a"}
    assert names(chain.storage) == ["a-", "a.b", "ab", "b"]


def test_a_refusal_to_delete_some_of_a_tree_is_told(chain: Chain) -> None:
    put(chain.storage, "d/a")
    put(chain.storage, "d/b")
    refused = f"<Error><Key>{PREFIX}d/a</Key><Code>AccessDenied</Code><Message>{MARKER}</Message></Error>"
    body = f"<DeleteResult>{refused}</DeleteResult>".encode()

    def refuse_one(exchange: Exchange) -> None:
        exchange.drain()
        exchange.send(200, body, {"Content-Type": "application/xml"})

    chain.interposer.on("DeleteObjects", refuse_one)
    with pytest.raises(StoragePermissionDenied) as caught:
        chain.storage.delete(path("d"))
    assert MARKER not in f"{caught.value} {caught.value.__cause__}"
    chain.storage.delete(path("d"))
    assert chain.artifacts() == {}


def test_what_is_gone_already_is_deleted(chain: Chain) -> None:
    put(chain.storage, "d/a")
    gone = b"<DeleteResult><Error><Key>x</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    chain.interposer.on("DeleteObjects", replace_body(200, gone))
    chain.storage.delete(path("d"))
    assert chain.artifacts() == {}


def test_an_answer_that_is_lost_is_asked_for_again(object_store: ObjectStore, bucket: str) -> None:
    with chained(object_store, bucket, attempts=2) as chain:
        put(chain.storage, "a")
        put(chain.storage, "d/a")
        chain.interposer.on("DeleteObject", cut_after_forwarding)
        chain.interposer.on("DeleteObjects", cut_after_forwarding)
        chain.storage.delete(path("a"))
        chain.storage.delete(path("d"))
        assert not chain.interposer.unused()
        assert chain.artifacts() == {}


@pytest.fixture(params=["object_store", "second_store"])
def either(request: pytest.FixtureRequest) -> Iterator[Chain]:
    """Stores differ in the objects that they have beside artifacts."""
    store: ObjectStore = request.getfixturevalue(request.param)
    bucket = store.make_bucket()
    with chained(store, bucket) as opened:
        yield opened
    store.remove_bucket(bucket)


def put_raw(chain: Chain, key: str, data: bytes) -> None:
    chain.direct.put_object(Bucket=chain.bucket, Key=PREFIX + key, Body=data)


class TestAnObjectWithTheNameOfADirectory:
    """In moto, which keeps what is in an object of any name; SeaweedFS makes a directory of it."""

    CONTENT = b"thirteen byte"

    def test_that_has_content_is_no_marker_and_stays(self, second_chain: Chain) -> None:
        """Somebody put those bytes there, and nobody has asked to delete them."""
        put_raw(second_chain, "w/", self.CONTENT)
        put(second_chain.storage, "w/x")
        second_chain.storage.delete(path("w/x"))
        stored = second_chain.direct.get_object(Bucket=second_chain.bucket, Key=f"{PREFIX}w/")["Body"]
        assert stored.read() == self.CONTENT

    def test_that_has_content_makes_way_for_no_artifact(self, second_chain: Chain) -> None:
        put_raw(second_chain, "w/", self.CONTENT)
        with pytest.raises(PathConflict):
            put(second_chain.storage, "w")
        stored = second_chain.direct.get_object(Bucket=second_chain.bucket, Key=f"{PREFIX}w/")["Body"]
        assert stored.read() == self.CONTENT
        assert second_chain.artifacts() == {}

    def test_that_is_empty_goes_with_the_last_artifact(self, either: Chain) -> None:
        put_raw(either, "w/", b"")
        put(either.storage, "w/x")
        put(either.storage, "w/y")
        either.storage.delete(path("w/x"))
        assert names(either.storage) == ["w"]
        either.storage.delete(path("w/y"))
        assert names(either.storage) == []
        assert either.keys() == []

    def test_that_is_empty_makes_way_for_an_artifact(self, either: Chain) -> None:
        put_raw(either, "w/", b"")
        put(either.storage, "w")
        assert either.keys() == ["w"]
        assert either.artifacts() == {"w": b"data"}


@pytest.mark.parametrize("character", ["\x01", "\x1f", "\x7f", "\t"])
def test_a_key_with_a_control_character_goes_with_the_rest(either: Chain, character: str) -> None:
    """XML has no name for most of these, and DeleteObjects would be refused as a whole."""
    for name in ("t/a", "t/z/z", "tt"):
        put(either.storage, name)
    key = f"t/line{character}break"
    put_raw(either, key, b"x")
    assert key in set(either.keys())
    either.storage.delete(path("t"))
    assert either.keys() == ["tt"]
