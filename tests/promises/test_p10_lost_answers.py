"""P10: a lost answer to the request that makes an artifact visible is settled by asking.

It is never settled by a blind abort, of what may be visible already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.errors import PreconditionFailed, StorageError, StorageUnreachable
from app.storage.entry import Precondition
from tests.support.artifacts import get, path, put
from tests.support.interposer_actions import (
    Action,
    answer,
    cut_after_forwarding,
    hang_after_forwarding,
    later,
    raw,
    refuse,
)
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PART, PREFIX, Chain, chained
from tests.support.s3_front import Front
from tests.support.s3_requests import artifact_requests

SMALL = b"new"
LARGE = b"x" * (PART + 1)
"""Two parts."""
DAYS = 2 * 86_400
"""Seconds: more than an upload that nobody completes is kept."""
CREATE_ONLY = Precondition(none_match="*")
COMPLETING = {SMALL: "PutObject", LARGE: "CompleteMultipartUpload"}
"""The request that makes the artifact visible."""
small_and_large = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])


@pytest.fixture(scope="module", params=[1, 2], ids=["one attempt", "two attempts"])
def shared_chain(request: pytest.FixtureRequest, object_store: ObjectStore) -> Iterator[Chain]:
    """The client library itself repeats a request whose answer was lost, or does not."""
    bucket = object_store.make_bucket()
    with chained(object_store, bucket, attempts=request.param) as opened:
        yield opened
    object_store.remove_bucket(bucket)


@pytest.fixture
def chain(shared_chain: Chain) -> Iterator[Chain]:
    shared_chain.interposer.clear()
    yield shared_chain
    shared_chain.interposer.forget_rules()
    for name in shared_chain.artifacts():
        shared_chain.storage.delete(path(name))


def by_key(operation: str, name: str) -> Callable[[Request], bool]:
    """For requests to the artifact alone: records of uploads are put like small artifacts."""
    return lambda request: (request.operation, request.key) == (operation, f"{PREFIX}{name}")


def asking(chain: Chain, data: bytes) -> Callable[[Request], bool]:
    """For the question whether the artifact `a` was stored; there was another one before that request."""
    return lambda request: (
        by_key("HeadObject", "a")(request)
        and any(map(by_key(COMPLETING[data], "a"), chain.interposer.requests()))
    )


@small_and_large
@pytest.mark.parametrize("replaced", [False, True])
def test_p10_an_upload_that_was_stored_is_a_success_although_the_answer_is_lost(
    chain: Chain, data: bytes, replaced: bool
) -> None:
    if replaced:
        put(chain.storage, "d/a", b"old")
    rule = chain.interposer.on(by_key(COMPLETING[data], "d/a"), cut_after_forwarding)
    with chain.storage.create(path("d/a")) as upload:
        upload.write(data)
        entry = upload.commit()
    assert rule.used
    assert upload.created is not replaced
    assert entry.etag == chain.storage.stat(path("d/a")).etag
    assert chain.artifacts() == {"d/a": data}
    assert chain.leftovers() == []
    assert artifact_requests(chain.interposer, "AbortMultipartUpload") == []


@small_and_large
def test_p10_an_upload_that_was_stored_is_a_success_although_the_answer_never_comes(
    object_store: ObjectStore, bucket: str, data: bytes
) -> None:
    with chained(object_store, bucket, s3_timeout=1) as chain:
        rule = chain.interposer.on(by_key(COMPLETING[data], "a"), hang_after_forwarding)
        put(chain.storage, "a", data)
        assert rule.used
        assert chain.artifacts() == {"a": data}
        assert chain.leftovers() == []
        assert artifact_requests(chain.interposer, "AbortMultipartUpload") == []


@small_and_large
def test_p10_a_lost_answer_is_a_success_for_who_must_be_the_first(chain: Chain, data: bytes) -> None:
    """The repetition is refused, because the first request has made what it must not find."""
    chain.interposer.on(by_key(COMPLETING[data], "a"), cut_after_forwarding)
    with chain.storage.create(path("a"), precondition=CREATE_ONLY) as upload:
        upload.write(data)
        upload.commit()
    assert not chain.interposer.unused()
    assert upload.created
    assert chain.artifacts() == {"a": data}
    assert chain.leftovers() == []


@small_and_large
def test_p10_a_lost_answer_is_a_success_for_who_replaces_a_certain_version(chain: Chain, data: bytes) -> None:
    old = put(chain.storage, "a", b"old")
    assert old.etag
    chain.interposer.on(by_key(COMPLETING[data], "a"), cut_after_forwarding)
    put(chain.storage, "a", data, Precondition(match=frozenset({old.etag})))
    assert not chain.interposer.unused()
    assert chain.artifacts() == {"a": data}


@small_and_large
def test_p10_a_lost_answer_is_no_success_where_somebody_else_was_first(chain: Chain, data: bytes) -> None:
    with chain.storage.create(path("a"), precondition=CREATE_ONLY) as upload:
        upload.write(data)
        chain.direct.put_object(Bucket=chain.bucket, Key=f"{PREFIX}a", Body=b"of somebody else")
        chain.interposer.on(by_key(COMPLETING[data], "a"), refuse)
        with pytest.raises((PreconditionFailed, StorageUnreachable)):
            upload.commit()
    assert chain.artifacts() == {"a": b"of somebody else"}
    assert chain.leftovers() == []


@small_and_large
@pytest.mark.parametrize("before", [{}, {"a": b"old"}], ids=["new", "replaced"])
@pytest.mark.parametrize("action", [refuse, raw(b"")], ids=["reset", "closed"])
def test_p10_an_upload_that_was_not_stored_is_an_error_and_leaves_nothing(
    chain: Chain, data: bytes, action: Action, before: dict[str, bytes]
) -> None:
    for name, old in before.items():
        put(chain.storage, name, old)
    chain.interposer.on(by_key(COMPLETING[data], "a"), action, times=None)
    with pytest.raises(StorageUnreachable):
        put(chain.storage, "a", data)
    assert chain.artifacts() == before
    assert chain.leftovers() == []


@small_and_large
def test_p10_an_upload_that_somebody_else_has_replaced_meanwhile_is_an_error_and_their_artifact_stays(
    chain: Chain, data: bytes
) -> None:
    """What the store then has carries the token of another upload."""

    def replaced(exchange: Exchange) -> None:
        chain.direct.put_object(
            Bucket=chain.bucket,
            Key=f"{PREFIX}a",
            Body=b"of somebody else",
            Metadata={"artifact-proxy-upload": "theirs"},
        )
        exchange.reply(exchange.forward())

    chain.interposer.on(asking(chain, data), replaced)
    chain.interposer.on(by_key(COMPLETING[data], "a"), cut_after_forwarding, times=None)
    with pytest.raises(StorageUnreachable):
        put(chain.storage, "a", data)
    assert not chain.interposer.unused()
    assert chain.artifacts() == {"a": b"of somebody else"}
    assert chain.leftovers() == []


@small_and_large
@pytest.mark.parametrize(
    "action", [answer(500, "InternalError"), answer(403, "AccessDenied"), refuse], ids=["500", "403", "reset"]
)
def test_p10_where_asking_fails_too_it_is_an_error_and_nothing_is_aborted_blindly(
    chain: Chain, data: bytes, action: Action
) -> None:
    """An abort could meet a store that is still putting the parts together; the sweeper comes much later."""
    chain.interposer.on(asking(chain, data), action, times=None)
    chain.interposer.on(by_key(COMPLETING[data], "a"), cut_after_forwarding, times=None)
    with pytest.raises(StorageError):
        put(chain.storage, "a", data)
    assert not chain.interposer.unused()
    assert get(chain.storage, "a") == data
    assert artifact_requests(chain.interposer, "AbortMultipartUpload") == []
    chain.interposer.forget_rules()
    chain.interposer.on("ListObjectsV2", later(DAYS))
    chain.storage.sweep()
    assert chain.leftovers() == []
    assert get(chain.storage, "a") == data


@small_and_large
def test_p10_clients_are_told_of_success(front: Front, folder: str, data: bytes) -> None:
    for headers, status in [({"If_None_Match": "*"}, 201), ({}, 200)]:
        rule = front.interposer.on(by_key(COMPLETING[data], f"{folder}/a"), cut_after_forwarding)
        stored = front.put(f"{folder}/a", data, **headers)
        assert (rule.used, stored.status_code) == (1, status)
        assert front.get(f"{folder}/a").headers["etag"] == stored.headers["etag"]
    assert front.get(f"{folder}/a").content == data
    assert front.leftovers() == []
    assert artifact_requests(front.interposer, "AbortMultipartUpload") == []
