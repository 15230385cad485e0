"""What the server asks of an S3 store, and what it takes to ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.costs.budgets import grows_no_faster, spend
from tests.support.artifacts import get, names, path, paths, put
from tests.support.instruments import Calls
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import Chain, chained

SMALL = bytes(4096)
TIMES = 5
PAGE = 1000
"""Entries that a store gives at once."""

ACTS: dict[str, Callable[[Chain], object]] = {
    "GET 4 KiB": lambda chain: get(chain.storage, "costs/small"),
    "stat": lambda chain: chain.storage.stat(path("costs/small")),
    "PUT 4 KiB": lambda chain: put(chain.storage, "costs/small", SMALL),
}


@pytest.fixture(scope="module")
def chain(object_store: ObjectStore, shared_bucket: str) -> Iterator[Chain]:
    with chained(object_store, shared_bucket) as opened:
        put(opened.storage, "costs/small", SMALL)
        yield opened


def counted(chain: Chain, act: Callable[[Chain], object], times: int) -> Counter[str]:
    """The calls in this thread."""
    chain.interposer.clear()
    calls = Calls()
    calls.begin()
    try:
        for _ in range(times):
            act(chain)
    finally:
        made = calls.end()
    return made


@pytest.mark.parametrize("what", ACTS)
def test_a_store_is_asked_no_more_often_and_with_no_more_calls_than_it_may(chain: Chain, what: str) -> None:
    for _ in range(2):
        ACTS[what](chain)  # what is done once only is done then
    calls = counted(chain, ACTS[what], TIMES)
    spend(f"requests to a store: {what}", len(chain.interposer.requests()) / TIMES)
    spend(f"calls: S3, {what}", calls.total() / TIMES, calls, TIMES)


def page(exchange: Exchange) -> None:
    """One of a directory that has as many artifacts as its name says, or none if that is no number."""
    query = exchange.request.query
    prefix = query["prefix"]
    name = prefix.rstrip("/").rpartition("/")[2]
    many = int(name) if name.isdigit() else 0
    start = int(query.get("continuation-token", 0))
    numbers = range(start, min(start + int(query.get("max-keys", PAGE)), many))
    rest = f"<NextContinuationToken>{numbers.stop}</NextContinuationToken>" if numbers.stop < many else ""
    objects = "".join(
        f"<Contents><Key>{prefix}model-{number:06}.bin</Key><Size>10</Size><ETag>&quot;{number:032}&quot;</ETag>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified><StorageClass>STANDARD</StorageClass></Contents>"
        for number in numbers
    )
    truncated = f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>"
    body = f"<ListBucketResult>{truncated}{rest}<EncodingType>url</EncodingType>{objects}</ListBucketResult>"
    exchange.drain()
    exchange.send(200, body.encode(), {"Content-Type": "application/xml"})


def _list(listed: Callable[..., list[str]], size: int, chain: Chain) -> None:
    assert len(listed(chain.storage, str(size))) == size


@pytest.mark.parametrize(("what", "listed"), [("level", names), ("tree", paths)])
def test_a_listing_asks_a_store_no_more_often_than_it_may_and_each_entry_costs_the_same(
    chain: Chain, what: str, listed: Callable[..., list[str]]
) -> None:
    chain.interposer.on("ListObjectsV2", page, times=None)
    costs: dict[int, float] = {}
    try:
        _list(listed, PAGE, chain)
        for pages in (1, 4, 8):
            size = pages * PAGE
            calls = counted(chain, partial(_list, listed, size), 1)
            costs[size] = calls.total()
            spend(f"requests to a store: {what} of {pages} pages", len(chain.interposer.requests()))
    finally:
        chain.interposer.forget_rules()
    spend(f"calls: S3, entry of a {what}", costs[size] / size, calls, size)
    grows_no_faster(f"calls: S3, entry of a {what}", costs)
