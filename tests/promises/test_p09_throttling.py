"""P9: throttling is retried within a budget: of one request, and of all requests of a server together."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.errors import StorageUnavailable
from tests.support.artifacts import get, put
from tests.support.interposer_actions import answer
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import Chain, chained
from tests.support.s3_front import fronted

ATTEMPTS = 3
"""Of one request, as many as the client library makes by itself."""
RETRIES = 100
"""Of all requests together, while none succeeds: what the client library has in its quota for throttling."""
REQUESTS = 64
"""As many at once as must exceed that."""


@pytest.fixture
def chain(object_store: ObjectStore, bucket: str) -> Iterator[Chain]:
    with chained(object_store, bucket, attempts=ATTEMPTS) as opened:
        yield opened


def test_p09_throttling_that_passes_is_waited_for(chain: Chain) -> None:
    chain.interposer.on("PutObject", answer(503, "SlowDown"))
    chain.interposer.on("PutObject", answer(429, "TooManyRequests"))
    put(chain.storage, "a")
    assert len(chain.interposer.requests("PutObject")) == ATTEMPTS
    assert get(chain.storage, "a") == b"data"


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_p09_throttling_that_stays_ends_with_the_budget_of_a_request(chain: Chain, operation: str) -> None:
    chain.interposer.on(operation, answer(503, "SlowDown"), times=None)
    with pytest.raises(StorageUnavailable):
        get(chain.storage, "a") if operation == "GetObject" else put(chain.storage, "a")
    assert len(chain.interposer.requests(operation)) == ATTEMPTS
    assert chain.artifacts() == {}


def test_p09_a_storm_of_throttled_requests_does_not_become_a_larger_one_at_the_store(
    object_store: ObjectStore, bucket: str, client: httpx.Client, tmp_path: Path
) -> None:
    flags = ("--storage-threads", str(REQUESTS))
    with fronted(object_store, bucket, client, tmp_path / "log", *flags, attempts=ATTEMPTS) as front:
        front.put("a", b"data")
        front.interposer.on("GetObject", answer(503, "SlowDown"), times=None)
        with ThreadPoolExecutor(REQUESTS) as pool:
            for told in pool.map(front.get, ["a"] * REQUESTS):
                assert told.status_code == 503
                assert told.headers["retry-after"].isdecimal()
        asked = len(front.interposer.requests("GetObject"))
        assert REQUESTS < asked <= REQUESTS + RETRIES < REQUESTS * ATTEMPTS
        front.interposer.forget_rules()
        assert front.get("a").content == b"data"
