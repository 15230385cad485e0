"""Of whatever clients may write: it is read, or refused in the way that is foreseen."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import Message

from app.api.bodies import JsonBodies
from app.api.conditions import is_plain_to_nginx, precondition, wanted_range, write_precondition
from app.api.digests import Digests
from app.api.schemas import MultipartComplete, MultipartCreate
from app.api.target import query_parameter
from app.errors import InvalidPath, InvalidRequest
from tests.fuzz.reading import headers, only, pieces
from tests.support.unlimited import UNHURRIED, boundless

SECONDS = 2.0
"""Far more than a linear parser takes for a hostile header, and far less than any other."""
ranges = pieces("bytes", "=", "-", ",", "0", "1", "99", "9" * 49, " ", "\t", "Bytes", "items", "²")


@given(st.lists(ranges, max_size=2), st.integers(0, 2**63))
@example(["bytes=-0"], 10)
@example(["bytes=0-"], 0)
@example(["bytes=" + "9" * 50 + "-"], 1)
def test_a_range_is_within_the_artifact(values: list[str], size: int) -> None:
    wanted = wanted_range(headers("Range", values))
    is_plain_to_nginx(headers("Range", values))
    span = None if wanted is None else wanted.resolve(size)
    assert span is None or 0 <= span.start < span.stop <= size


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.integers(1, 10**18))
def test_a_range_is_the_one_that_was_asked_for(first: int, last: int, size: int) -> None:
    wanted = wanted_range(headers("Range", [f"bytes={first}-{last}"]))
    if last < first:
        assert wanted is None
        return
    assert wanted is not None
    span = wanted.resolve(size)
    assert (span is None) is (first >= size)
    assert span is None or (span.start, span.stop) == (first, min(last + 1, size))


etags = pieces('"', 'W/"', '"a"', 'W/"b"', ",", ", ", "*", " ", "\t", "\\")
dates = pieces("Sun, ", "06 ", "Nov ", "1994 ", "08:49:37 ", "GMT", "+0000", "-9999", "99", "9" * 20, "0")
whole_dates = pieces("Sun, 06 Nov 1994 08:49:37 ", "GMT", "-0000", "+0000", "-9999", "9" * 20, size=2)


@given(st.lists(etags, max_size=2), st.lists(st.one_of(dates, whole_dates), max_size=2))
@example([], ["Sun, 06 Nov 1994 08:49:37 GMT"])
@example([], ["Sun, 06 Nov 1994 08:49:37 -0000"])
def test_a_condition_is_read_or_an_invalid_request(tags: list[str], moments: list[str]) -> None:
    for name in ("If-Match", "If-None-Match"):
        read = precondition(headers(name, tags))
        strict = only(InvalidRequest, partial(write_precondition, headers(name, tags)))
        assert strict in (None, read)
    since = precondition(headers("If-Unmodified-Since", moments)).unmodified_since
    assert since is None or since.tzinfo is not None


@pytest.mark.parametrize(
    "piece", ['"', 'W/"', ",", ", ", " ", "\t", '"a"', '"a",', '"a" ,', 'W/"a"x', "*,", "("]
)
def test_a_hostile_condition_takes_linear_time(piece: str) -> None:
    value = piece * (64 * 1024 // len(piece)) + "!"
    started = time.monotonic()
    for name in ("If-Match", "If-None-Match", "If-Unmodified-Since", "Range"):
        only(InvalidRequest, partial(write_precondition, headers(name, [value])))
        wanted_range(headers(name, [value]))
    assert time.monotonic() - started < SECONDS


digests = pieces("sha-256", "sha-512", "=", ":", ":AAAA:", ",", ";a=1", "(", ")", '"', "?1", "9" * 16, "é")


@given(st.sampled_from(["Content-MD5", "Content-Digest", "Repr-Digest"]), st.lists(digests, max_size=2))
@example("Content-MD5", ["AAAA"])
@example("Content-Digest", ["sha-256=5"])
@example("Repr-Digest", ["sha-512=:AAAA:"])
def test_a_digest_is_read_or_an_invalid_request(name: str, values: list[str]) -> None:
    read = only(InvalidRequest, lambda: Digests(headers(name, values)))
    assert values or read is not None
    assert read is None or read.response_headers() == {}


@given(
    st.one_of(digests, pieces("sha-256=", "sha-512=", ":AAAA:", "5", "0", "-1", '"a"', "?1", ", ", size=8))
)
@example("sha-256=:AAAA:")
@example("sha-512=(1 2)")
def test_a_malformed_wish_for_a_digest_is_no_wish(value: str) -> None:
    wished = Digests(headers("Want-Repr-Digest", [value])).response_headers()
    assert set(wished) <= {"Repr-Digest"}


parameters = pieces("path", "=", "&", "%", "%70ath", "%2e%2e", "%00", "%c3%a9", "%ff", "+", ";", "a/b")


@given(st.one_of(parameters, parameters.map("path=".__add__)))
@example("path=%c3%a9")
@example("path=%ff")
@example("path=%ed%a0%80")
def test_a_query_parameter_is_text_or_refused(query: str) -> None:
    request = Request({"type": "http", "headers": [], "query_string": query.encode("latin-1")})
    value = only((InvalidRequest, InvalidPath), lambda: query_parameter(request, "path"))
    assert value is None or value.encode().decode() == value


texts = st.text(st.characters(exclude_categories=()))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["path", "num_parts", "parts", "upload_id"]), texts), inner
        ),
    ),
    max_leaves=10,
)


numbers = st.integers(-1, 10_001)
wanted = st.fixed_dictionaries(
    {"path": texts},
    optional={
        "num_parts": numbers,
        "upload_id": texts,
        "parts": st.lists(st.fixed_dictionaries({"part_number": numbers, "etag": texts}), max_size=3),
        "other": anything,
    },
)


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@given(st.one_of(st.binary(), st.one_of(anything, wanted).map(lambda value: json.dumps(value).encode())))
@example(b'{"path": "a", "num_parts": 1}')
@example(b'{"path": "a", "num_parts": 1, "path": "b"}')
@example(b'{"path": "a", "num_parts": 1, "other": [NaN]}')
@example(b"[" * 100_000)
@example(b'{"path": "a", "path": "b"}')
@example(b'{"path": "\\ud800"}')
@example(b'{"path": "a", "num_parts": 1' + b"0" * 5000 + b"}")
@example(b"1e999")
def test_a_json_body_is_read_or_refused(body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    def read(request: Request, model: type[BaseModel]) -> BaseModel:
        return asyncio.run(JsonBodies(UNHURRIED).read(request, model, 1_000_000, boundless()))

    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
    for model in (MultipartCreate, MultipartComplete):
        found = only(InvalidRequest, partial(read, Request(scope, receive), model))
        if found is not None:
            assert isinstance(found, model)
            value = json.loads(body, object_pairs_hook=once, parse_constant=refuse)
            assert found.model_dump()["path"] == value["path"]
