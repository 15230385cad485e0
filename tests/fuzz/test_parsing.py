"""Of whatever clients may write: it is read, or refused in the way that is foreseen."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message

from app.api.authentication import secret_of
from app.api.bodies import read_json
from app.api.conditions import is_plain_to_nginx, precondition, wanted_range, write_precondition
from app.api.digests import Digests
from app.api.hosts import Hosts
from app.api.schemas import MultipartComplete, MultipartCreate
from app.api.target import query_parameter
from app.api.visit import begin
from app.errors import ArtifactError, InvalidPath, InvalidRequest, Unauthenticated
from app.identity.permissions import Action, Grant
from tests.support.unlimited import UNHURRIED

T = TypeVar("T")
SECONDS = 2.0
"""Far more than a linear parser takes for a hostile header, and far less than any other."""
latin = st.text(st.characters(max_codepoint=0xFF), max_size=200)


def pieces(*texts: str, size: int = 12) -> st.SearchStrategy[str]:
    """Texts of what means something to the parser, in any order, with anything between."""
    return st.lists(st.one_of(st.sampled_from(texts), latin.map(lambda text: text[:5])), max_size=size).map(
        "".join
    )


def headers(name: str, values: list[str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for value in values])


def only(kinds: type[Exception] | tuple[type[Exception], ...], read: Callable[[], T]) -> T | None:
    """What is read; None if it is refused with one of these errors. All others are defects."""
    try:
        return read()
    except kinds:
        return None


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


credentials = pieces(
    "Bearer", "Basic", "bearer ", "basic ", " ", "YTpi", "Og==", "=", ":", "apx_", "AAA=", "ÿ"
)


@given(st.lists(credentials, max_size=2))
@example(["Basic YTpi"])
@example(["Basic Og=="])
@example(["Basic YTo="])
@example(["Basic /w=="])
@example(["Basic é"])
def test_a_credential_is_text_or_nothing_or_unauthenticated(values: list[str]) -> None:
    secret = only(Unauthenticated, lambda: secret_of(headers("Authorization", values)))
    assert secret is None or (secret and values)


hosts = pieces(
    "h",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "[",
    "]",
    ":",
    "80",
    "65536",
    "@",
    ".",
    "/",
    "%",
    "٣",
    "evil",
    size=5,
)
origins = pieces(
    "http://", "https://", "null", "h", ":80", ":", "[::1]", "//", "@", "?", "evil", "file:", size=5
)
queries = pieces("token", "access_token", "%74oken", "api_key", "path", "=", "&", "%", "a")


@given(
    st.one_of(st.sampled_from(["h", "H.", "h:80"]), hosts),
    st.lists(st.one_of(origins, origins.map("http://h".__add__)), max_size=2),
    st.one_of(queries, latin),
)
@example("[v1.x]", ["http://[v1.x]"], "")
@example("h:²", [], "")
@example("evil@h", [], "")
@example("h", ["http://h:²"], "")
@example("h", ["http://evil"], "")
@example("h", ["http://h", "http://evil"], "")
@example("h", [], "%74oken=1")
def test_hosts_and_origins_are_accepted_or_refused(host: str, given_origins: list[str], query: str) -> None:
    raw = [(b"host", host.encode("latin-1", "replace"))]
    raw += [(b"origin", origin.encode("latin-1")) for origin in given_origins]
    scope = {
        "type": "http",
        "method": "PUT",
        "raw_path": b"/v1/artifacts/a",
        "headers": raw,
        "query_string": query.encode("latin-1"),
    }

    async def nothing(*_: object) -> None: ...

    begin(scope, None)
    layer = Hosts(nothing, lambda: ["h"], [])
    passed = not isinstance(_raised(lambda: layer._judge(scope, Headers(scope=scope))), ArtifactError)
    if passed:
        assert re.fullmatch(r"h\.*(:\d*)?", host, re.IGNORECASE | re.ASCII), host
        assert len(given_origins) <= 1
        assert all((urlsplit(origin).hostname or "").strip(".") == "h" for origin in given_origins)
        names = {unquote(part.partition("=")[0]) for part in query.split("&")}
        assert not names & {"token", "access_token", "api_key"}


def _raised(call: Callable[[], object]) -> ArtifactError | None:
    try:
        call()
    except ArtifactError as error:
        return error
    return None


parameters = pieces("path", "=", "&", "%", "%70ath", "%2e%2e", "%00", "%c3%a9", "%ff", "+", ";", "a/b")


@given(st.one_of(parameters, parameters.map("path=".__add__)))
@example("path=%c3%a9")
@example("path=%ff")
@example("path=%ed%a0%80")
def test_a_query_parameter_is_text_or_refused(query: str) -> None:
    request = Request({"type": "http", "headers": [], "query_string": query.encode("latin-1")})
    value = only((InvalidRequest, InvalidPath), lambda: query_parameter(request, "path"))
    assert value is None or value.encode().decode() == value


places = pieces("/", "a", "b.c", "{name}", "{", "}", ".", "..", "%2e", "\\", "\0", " ", ":")
grants = st.one_of(
    pieces("read", "list", "all", ",", ":", "/", "a", "{name}", "..", "\0", " "), places.map("read:".__add__)
)


@given(grants)
@example("read,list:users/{name}/")
@example("read:a/../b")
def test_a_grant_is_of_safe_segments_or_a_value_error(text: str) -> None:
    grant = only(ValueError, lambda: Grant.parse(text))
    if grant is not None:
        assert grant.actions
        assert grant.actions <= set(Action)
        assert not {"", ".", ".."} & set(grant.prefix)


@given(grants, st.one_of(st.text(), pieces("/", ".", "..", "a", "{name}", size=3)))
@example("read:users/{name}/", "ci")
@example("read:users/{name}/", "../ci")
@example("read:users/{name}/", "")
def test_a_name_never_leads_a_grant_out_of_its_place(text: str, name: str) -> None:
    grant = only(ValueError, lambda: Grant.parse(text))
    for filled in grant.filled(lambda _: (name,)) if grant else ():
        assert grant is not None
        assert len(filled.prefix) == len(grant.prefix)
        for segment, written in zip(filled.prefix, grant.prefix, strict=True):
            assert segment
            assert "/" not in segment
            assert segment == written or "{name}" in written


@given(st.one_of(st.none(), latin, pieces("a", "-", "_", ".", "\n", "\r\n", "A9")))
def test_a_request_id_never_has_what_a_log_could_misread(given_id: str | None) -> None:
    request_id = begin({}, given_id).request_id
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id)
    assert "\n" not in request_id


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
        return asyncio.run(read_json(request, model, 1_000_000, UNHURRIED))

    scope = {"type": "http", "headers": [(b"content-type", b"application/json")]}
    for model in (MultipartCreate, MultipartComplete):
        found = only(InvalidRequest, partial(read, Request(scope, receive), model))
        if found is not None:
            assert isinstance(found, model)
            value = json.loads(body, object_pairs_hook=once, parse_constant=refuse)
            assert found.model_dump()["path"] == value["path"]
