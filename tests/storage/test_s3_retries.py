"""Requests that the client library sends once more are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.errors import StorageUnavailable
from tests.support.artifacts import get, path, put
from tests.support.interposer_actions import answer, refuse
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import Chain, chained
from tests.support.scraping import here

Repeated = Callable[..., float]


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket, attempts=3) as opened:
        yield opened


@pytest.fixture
def repeated() -> Repeated:
    """Gives how many requests were repeated since the test began."""

    name, before = "artifact_proxy_storage_retries_total", here()
    return lambda **labels: here().value(name, **labels) - before.value(name, **labels)


def test_what_succeeds_at_once_is_no_repetition(chain: Chain, repeated: Repeated) -> None:
    put(chain.storage, "a")
    assert get(chain.storage, "a") == b"data"
    assert repeated() == 0


def test_each_request_that_is_sent_again_is_one_of_its_operation(chain: Chain, repeated: Repeated) -> None:
    put(chain.storage, "a")
    chain.interposer.on("HeadObject", answer(503), times=1)
    chain.interposer.on("GetObject", refuse, times=2)
    chain.storage.stat(path("a"))
    assert repeated() == repeated(operation="HeadObject") == 1
    assert get(chain.storage, "a") == b"data"
    assert repeated() == 3
    assert repeated(operation="GetObject") == 2


def test_so_are_those_before_the_library_gives_up(chain: Chain, repeated: Repeated) -> None:
    rule = chain.interposer.on("HeadObject", answer(503), times=None)
    with pytest.raises(StorageUnavailable):
        chain.storage.stat(path("a"))
    assert rule.used == 3
    assert repeated(operation="HeadObject") == 2
