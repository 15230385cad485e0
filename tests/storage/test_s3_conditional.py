"""Stores that cannot hold a write to a condition: it is refused, and nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

import pytest
from botocore.exceptions import ClientError

from app.errors import NotSupported, PreconditionFailed, StorageMisbehaved
from app.storage.entry import Precondition
from app.storage.s3.conditional import ConditionalWrites
from app.storage.s3.storage import S3Storage
from tests.support.artifacts import path, put
from tests.support.interposer_actions import Action, answer, forward
from tests.support.interposer_exchange import Exchange, Request
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PART, Chain, chained
from tests.support.waiting import wait_until

CREATE_ONLY = Precondition(none_match="*")
LARGE = bytes(PART + 1)


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket) as opened:
        yield opened


def with_condition(operation: str) -> Callable[[Request], bool]:
    return lambda request: (
        request.operation == operation and bool({"if-match", "if-none-match"} & set(request.headers))
    )


def take_no_notice(exchange: Exchange) -> None:
    """Reports success whatever the condition says."""
    exchange.drain()
    body = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
    body = body if exchange.request.method == "POST" else b""
    exchange.send(200, body, {"ETag": '"x"', "Content-Type": "application/xml"})


CANNOT = {
    "takes no notice": take_no_notice,
    "refuses": answer(501, "NotImplemented"),
    "does not know it": answer(400, "InvalidArgument"),
}


@pytest.mark.parametrize("action", CANNOT.values(), ids=CANNOT)
class TestAStoreThatCannot:
    @pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
    def test_is_given_no_upload_with_a_condition(self, chain: Chain, operation: str, action: Action) -> None:
        data = b"new" if operation == "PutObject" else LARGE
        old = put(chain.storage, "a", b"old")
        assert old.etag
        chain.interposer.on(with_condition(operation), action, times=None)
        for name, precondition in [("a", Precondition(match=frozenset({old.etag}))), ("b", CREATE_ONLY)]:
            with pytest.raises(NotSupported):
                put(chain.storage, name, data, precondition)
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []
        put(chain.storage, "b", data)

    def test_is_given_no_deletion_with_a_condition(self, chain: Chain, action: Action) -> None:
        old = put(chain.storage, "a", b"old")
        assert old.etag
        chain.interposer.on(with_condition("DeleteObject"), action, times=None)
        with pytest.raises(NotSupported):
            chain.storage.delete(path("a"), precondition=Precondition(match=frozenset({old.etag})))
        assert chain.artifacts() == {"a": b"old"}
        assert chain.leftovers() == []


def test_a_condition_that_does_not_hold_is_told_by_every_store(chain: Chain) -> None:
    put(chain.storage, "a", b"old")
    chain.interposer.on(with_condition("PutObject"), take_no_notice, times=None)
    with pytest.raises((PreconditionFailed, NotSupported)):
        put(chain.storage, "a", b"new", CREATE_ONLY)
    assert chain.artifacts() == {"a": b"old"}


def test_a_store_is_tried_out_once_and_only_when_somebody_asks(chain: Chain) -> None:
    put(chain.storage, "a", b"old")
    assert chain.interposer.requests("DeleteObject") == []
    for name in "bcd":
        put(chain.storage, name, b"new", CREATE_ONLY)
    probes = [request for request in chain.interposer.requests("PutObject") if "probe-" in request.key]
    assert len({probe.key for probe in probes}) == 1
    assert chain.leftovers() == []


def test_a_trial_that_fails_says_nothing_of_the_store(chain: Chain) -> None:
    chain.interposer.on(with_condition("PutObject"), answer(500, "InternalError"))
    with pytest.raises(StorageMisbehaved):
        put(chain.storage, "a", b"new", CREATE_ONLY)
    assert chain.artifacts() == {}
    assert chain.leftovers() == []
    put(chain.storage, "a", b"new", CREATE_ONLY)


def test_a_real_store_that_ignores_the_condition_of_a_completion_is_found_out(second_chain: Chain) -> None:
    storage = second_chain.storage
    old = put(storage, "a", b"old")
    assert old.etag
    put(storage, "a", b"newer", Precondition(match=frozenset({old.etag})))
    newer = storage.stat(path("a"))
    assert newer.etag
    with pytest.raises(NotSupported):
        put(storage, "a", LARGE, Precondition(match=frozenset({newer.etag})))
    assert second_chain.artifacts() == {"a": b"newer"}
    assert second_chain.leftovers() == []


class TestManyWhoAskAtOnce:
    COUNT = 16

    class Counted:
        """A lock that knows how often it was taken and given back."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self.passed = 0

        def __enter__(self) -> None:
            self._lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.passed += 1
            self._lock.release()

    @pytest.fixture
    def conditional(self, chain: Chain) -> ConditionalWrites:
        return cast(S3Storage, chain.storage)._conditional

    def ask(self, chain: Chain, conditional: ConditionalWrites, action: Action) -> list[Exception | None]:
        """What each is told, where the store meets the first of a trial's requests with `action`.

        It does so when all have asked.
        """
        lock = self.Counted()
        conditional._lock = cast(threading.Lock, lock)

        def act(exchange: Exchange) -> None:
            with suppress(AssertionError):  # then some have not come, which the number of trials tells
                wait_until(lambda: lock.passed >= self.COUNT, "everybody's question")
            action(exchange)

        def ask_once(_: int) -> Exception | None:
            try:
                conditional.require("PutObject")
            except (ClientError, NotSupported) as error:
                return error
            return None

        chain.interposer.on("PutObject", act)
        with ThreadPoolExecutor(self.COUNT) as pool:
            return list(pool.map(ask_once, range(self.COUNT)))

    @staticmethod
    def probes(chain: Chain) -> set[str]:
        return {request.key for request in chain.interposer.requests("PutObject")}

    def test_have_it_tried_out_once(self, chain: Chain, conditional: ConditionalWrites) -> None:
        assert self.ask(chain, conditional, forward) == [None] * self.COUNT
        assert len(self.probes(chain)) == 1
        # The probe itself, and one attempt with each of the two conditions.
        assert len(chain.interposer.requests("PutObject")) == 3
        assert chain.leftovers() == []

    def test_are_all_told_that_it_could_not_be_tried_out_and_the_next_tries_anew(
        self, chain: Chain, conditional: ConditionalWrites
    ) -> None:
        told = self.ask(chain, conditional, answer(500, "InternalError"))
        assert all(isinstance(error, ClientError) for error in told)
        assert len(chain.interposer.requests("PutObject")) == 1
        put(chain.storage, "a", b"new", CREATE_ONLY)
        assert chain.artifacts() == {"a": b"new"}
        assert chain.leftovers() == []
