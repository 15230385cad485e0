"""Ranges and conditional requests (RFC 9110, sections 13 and 14), as tables and against oracles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.conditions import http_date, is_not_modified, precondition, range_holds, wanted_range
from app.errors import PreconditionFailed
from app.paths import ArtifactPath
from app.storage.base import ByteRange, Entry

PATH = ArtifactPath.parse("models/a.bin")
# Storage knows parts of a second, HTTP does not.
MODIFIED = datetime(2024, 5, 17, 12, 30, 45, 987_654, tzinfo=UTC)
ENTRY = Entry(PATH, size=10, modified=MODIFIED, etag="v1")
SECOND = timedelta(seconds=1)
GOOGOL = 10**49  # 50 digits

unhurried = settings(deadline=None)


def headers(*lines: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in lines])


def fails(request: Headers, entry: Entry = ENTRY) -> bool:
    """Whether a read is answered 412."""
    try:
        is_not_modified(request, entry)
    except PreconditionFailed:
        return True
    return False


class TestRange:
    @pytest.mark.parametrize(
        ("value", "wanted"),
        [
            ("bytes=0-0", ByteRange(0, 0)),
            ("bytes=2-5", ByteRange(2, 5)),
            ("bytes=2-", ByteRange(2, None)),
            ("bytes=-3", ByteRange(None, 3)),
            ("bytes=-0", ByteRange(None, 0)),
            ("bytes=007-0008", ByteRange(7, 8)),
            ("BYTES=1-2", ByteRange(1, 2)),
            (f"bytes={GOOGOL}-", ByteRange(GOOGOL, None)),
            (f"bytes=0-{GOOGOL}", ByteRange(0, GOOGOL)),
            (f"bytes=-{GOOGOL}", ByteRange(None, GOOGOL)),
        ],
    )
    def test_one_range_is_understood(self, value: str, wanted: ByteRange) -> None:
        assert wanted_range(headers(("Range", value))) == wanted

    @pytest.mark.parametrize(
        "value",
        [
            *("", " ", "bytes", "bytes=", "bytes=-", "bytes= - ", "bytes=a-b", "bytes=0", "bytes=9-1"),
            *("0-1", "items=0-1", "byte=0-1", "bytes:0-1", "bytes 0-1/10", "bytes==0-1"),
            *("bytes=+1-2", "bytes=-1-2", "bytes=1--2", "bytes=1-+2", "bytes=0x1-2", "bytes=1_0-20"),
            *("bytes=1-2x", "bytes=1-2;", "bytes=1.0-2", "bytes=1e1-20", "bytes=\xb2-\xb3", "bytes=0 -1"),
            *("bytes=0-1\n", "bytes=0-1\x00", f"bytes={'9' * 10_000}-"),
        ],
    )
    def test_a_malformed_range_is_ignored(self, value: str) -> None:
        assert wanted_range(headers(("Range", value))) is None

    @pytest.mark.parametrize("value", ["bytes=0-1,3-4", "bytes=0-1, 3-4", "bytes=0-0,-1", "bytes=0-,0-,0-"])
    def test_more_than_one_range_is_ignored(self, value: str) -> None:
        assert wanted_range(headers(("Range", value))) is None

    def test_ranges_on_two_lines_are_ignored(self) -> None:
        assert wanted_range(headers(("Range", "bytes=0-1"), ("Range", "bytes=0-1"))) is None

    def test_no_range_is_the_whole(self) -> None:
        assert wanted_range(headers()) is None

    @given(st.text(st.sampled_from("bytes=0123456789-, \t;x")))
    @unhurried
    def test_any_range_is_understood_or_ignored(self, value: str) -> None:
        wanted = wanted_range(headers(("Range", value)))
        if wanted is not None:
            assert wanted.first is not None or wanted.last is not None
            assert wanted.first is None or wanted.last is None or wanted.first <= wanted.last

    @given(st.none() | st.integers(0, GOOGOL), st.none() | st.integers(0, GOOGOL))
    @unhurried
    def test_a_range_is_read_as_it_is_written(self, first: int | None, last: int | None) -> None:
        value = f"bytes={'' if first is None else first}-{'' if last is None else last}"
        is_range = (first, last) != (None, None) and (first is None or last is None or first <= last)
        expected = ByteRange(first, last) if is_range else None
        assert wanted_range(headers(("Range", value))) == expected


class TestSpan:
    """Where a range lies in an artifact of a certain size."""

    @pytest.mark.parametrize(
        ("first", "last", "size", "span"),
        [
            (0, 0, 10, (0, 1)),
            (2, 5, 10, (2, 6)),
            (2, None, 10, (2, 10)),
            (9, 9, 10, (9, 10)),
            (5, 99, 10, (5, 10)),
            (None, 3, 10, (7, 10)),
            (None, 10, 10, (0, 10)),
            (None, 99, 10, (0, 10)),
            (0, GOOGOL, 10, (0, 10)),
            (None, GOOGOL, 10, (0, 10)),
        ],
    )
    def test_a_range_lies_within_the_artifact(
        self, first: int | None, last: int | None, size: int, span: tuple[int, int]
    ) -> None:
        assert ByteRange(first, last).resolve(size) == span

    @pytest.mark.parametrize(
        ("first", "last", "size"),
        [
            (10, None, 10),
            (10, 20, 10),
            (GOOGOL, None, 10),
            (GOOGOL, GOOGOL, 10),
            (None, 0, 10),
            *((first, last, 0) for first, last in [(0, None), (0, 0), (None, 1), (None, 0), (5, 6)]),
        ],
    )
    def test_a_range_without_bytes_cannot_be_satisfied(
        self, first: int | None, last: int | None, size: int
    ) -> None:
        assert ByteRange(first, last).resolve(size) is None

    numbers = st.integers(0, 60) | st.integers(0, GOOGOL)

    @given(numbers, st.none() | numbers, st.integers(0, 50))
    @unhurried
    def test_first_and_last_are_the_positions_between_them(
        self, first: int, length: int | None, size: int
    ) -> None:
        last = None if length is None else first + length
        positions = [p for p in range(size) if first <= p and (last is None or p <= last)]
        span = ByteRange(first, last).resolve(size)
        assert (list(range(*span)) if span else []) == positions
        assert (span is None) is (not positions)

    @given(numbers, st.binary(max_size=50))
    @unhurried
    def test_a_suffix_is_the_last_bytes(self, length: int, data: bytes) -> None:
        span = ByteRange(None, length).resolve(len(data))
        assert (data[span.start : span.stop] if span else b"") == (data[-length:] if length else b"")

    @given(st.none() | numbers, st.none() | numbers, st.integers(0, 2**63 - 1))
    @unhurried
    def test_a_span_never_leaves_the_artifact(self, first: int | None, last: int | None, size: int) -> None:
        span = ByteRange(first, last).resolve(size)
        assert span is None or 0 <= span.start < span.stop <= size


class TestIfRange:
    @pytest.mark.parametrize("lines", [[], ['"v1"']])
    def test_the_range_of_this_version_is_served(self, lines: list[str]) -> None:
        assert range_holds(headers(*(("If-Range", value) for value in lines)), ENTRY)

    @pytest.mark.parametrize(
        "lines",
        [
            *(['"v2"'], ['"V1"'], ['W/"v1"'], ["v1"], ["*"], [""], ['"v1", "v2"'], ['"v1"x'], ['"v1']),
            *(['"v1"', '"v1"'], ['"v1"', '"v2"']),
            [http_date(MODIFIED)],
            [http_date(MODIFIED + SECOND)],
            [http_date(MODIFIED - SECOND)],
            ["yesterday"],
        ],
        ids=str,
    )
    def test_else_the_whole_is_served(self, lines: list[str]) -> None:
        assert not range_holds(headers(*(("If-Range", value) for value in lines)), ENTRY)


# Lines of a header, and whether ENTRY's strong ETag "v1" is among the tags.
TAG_LISTS = [
    (['"v1"'], True),
    (['"v2"'], False),
    (['"V1"'], False),
    (['"v2", "v1"'], True),
    (['"v2","v1","v3"'], True),
    (['"v2"\t ,\t "v3"'], False),
    (['"v2"', '"v1"'], True),
    (['"v2"', '"v3", "v4"'], False),
    ([', ,"v1",'], True),
    (["*"], True),
    ([" * "], True),
    (["v1"], False),
    (['"v1'], False),
    (['v1"'], False),
    (["'v1'"], False),
    ([""], False),
    (['"v1,v2"'], False),
    (['"v2,v1"'], False),
    (['"v1 "'], False),
    (['w/"v2"'], False),
    (["null"], False),
]


class TestTags:
    @pytest.mark.parametrize(("lines", "among"), [*TAG_LISTS, (['W/"v1"'], True), (['W/"v2", W/"v1"'], True)])
    def test_if_none_match_compares_weakly(self, lines: list[str], among: bool) -> None:
        request = headers(*(("If-None-Match", line) for line in lines))
        assert is_not_modified(request, ENTRY) is among

    @pytest.mark.parametrize(
        ("lines", "among"),
        [*TAG_LISTS, (['W/"v1"'], False), (['W/"v1", "v1"'], True), (['W/"v1"', "W/*"], False)],
    )
    def test_if_match_compares_strongly(self, lines: list[str], among: bool) -> None:
        request = headers(*(("If-Match", line) for line in lines))
        assert fails(request) is not among

    opaque = st.text(st.characters(codec="latin-1", exclude_characters='"\x7f', min_codepoint=0x21)).filter(
        lambda text: not any("\x7f" <= character < "\x80" for character in text)
    )

    @given(st.lists(opaque, min_size=1, max_size=5), opaque, st.data())
    @unhurried
    def test_a_tag_is_found_in_a_list_whatever_it_is_made_of(
        self, listed: list[str], tag: str, data: st.DataObject
    ) -> None:
        current = data.draw(st.sampled_from([*listed, tag]))
        entry = Entry(PATH, size=10, modified=MODIFIED, etag=current)
        lines = [("If-None-Match", f'"{one}"') for one in listed]
        joined = [("If-None-Match", ", ".join(f'W/"{one}"' for one in listed))]
        assert is_not_modified(headers(*lines), entry) is (current in listed)
        assert is_not_modified(headers(*joined), entry) is (current in listed)

    @given(st.text(st.characters(max_codepoint=0xFF)))
    @unhurried
    def test_any_value_is_understood_or_matches_nothing(self, value: str) -> None:
        for name in ("If-Match", "If-None-Match", "If-Range"):
            request = headers((name, value))
            matched = '"v1"' in value or value.strip() == "*"
            if not matched:
                assert fails(request) is (name == "If-Match")
                assert name == "If-Match" or not is_not_modified(request, ENTRY)
                assert name != "If-Range" or not range_holds(request, ENTRY)


def rfc850(moment: datetime) -> str:
    return moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")


def asctime(moment: datetime) -> str:
    return moment.ctime()


BAD_DATES = [
    *("", " ", ",", "0", "-1", "tomorrow", "1715949045", "2024-05-17", "2024-05-17T12:30:45Z", "Fri,", "May"),
    *("Fri, 32 May 2024 12:30:45 GMT", "Fri, 31 Feb 2024 12:30:45 GMT", "Fri, 17 May 2024 25:00:00 GMT"),
    *("Fri, 17 May 2024", "Fri, 17 Foo 2024 12:30:45 GMT", "Fri, 17 May 99999 12:30:45 GMT", '"v1"', "*"),
    *("Fri, 17 May 2024 12:30:45 +9999", "9" * 5000, "Fri, " + "1" * 5000 + " May 2024 00:00:00 GMT", "\xff"),
]
FORMATS = pytest.mark.parametrize("written", [http_date, rfc850, asctime])


class TestDates:
    @FORMATS
    def test_if_modified_since_counts_whole_seconds(self, written: Callable[[datetime], str]) -> None:
        for since, not_modified in [(MODIFIED - SECOND, False), (MODIFIED, True), (MODIFIED + SECOND, True)]:
            assert is_not_modified(headers(("If-Modified-Since", written(since))), ENTRY) is not_modified

    @FORMATS
    def test_if_unmodified_since_counts_whole_seconds(self, written: Callable[[datetime], str]) -> None:
        for since, failed in [(MODIFIED - SECOND, True), (MODIFIED, False), (MODIFIED + SECOND, False)]:
            assert fails(headers(("If-Unmodified-Since", written(since)))) is failed

    @pytest.mark.parametrize("value", BAD_DATES, ids=lambda value: ascii(value[:30]))
    def test_a_bad_date_is_ignored(self, value: str) -> None:
        assert not is_not_modified(headers(("If-Modified-Since", value)), ENTRY)
        assert not fails(headers(("If-Unmodified-Since", value)))
        assert precondition(headers(("If-Unmodified-Since", value))).unmodified_since is None

    def test_two_dates_are_ignored(self) -> None:
        late, early = http_date(MODIFIED + SECOND), http_date(MODIFIED - SECOND)
        assert not is_not_modified(headers(("If-Modified-Since", late), ("If-Modified-Since", late)), ENTRY)
        assert not fails(headers(("If-Unmodified-Since", early), ("If-Unmodified-Since", early)))

    @pytest.mark.parametrize(
        ("value", "since"),
        [
            ("Fri, 31 Dec 9999 23:59:59 -2300", False),
            ("Fri, 31 Dec 9999 23:59:59 GMT", False),
            ("Mon, 01 Jan 0100 00:00:00 +2300", True),
            ("Thu, 01 Jan 1970 00:00:00 GMT", True),
        ],
    )
    def test_the_ends_of_time_can_be_compared(self, value: str, since: bool) -> None:
        assert is_not_modified(headers(("If-Modified-Since", value)), ENTRY) is not since
        assert fails(headers(("If-Unmodified-Since", value))) is since

    def test_dates_say_nothing_of_an_artifact_whose_time_is_not_known(self) -> None:
        timeless = Entry(PATH, size=10, etag="v1")
        for since in (MODIFIED - SECOND, MODIFIED + SECOND):
            assert not fails(headers(("If-Unmodified-Since", http_date(since))), timeless)
            assert not is_not_modified(headers(("If-Modified-Since", http_date(since))), timeless)

    @given(
        st.text(st.characters(max_codepoint=0xFF))
        | st.lists(
            st.sampled_from(
                [
                    "Fri",
                    ",",
                    " ",
                    "17",
                    "May",
                    "2024",
                    "-",
                    ":",
                    "12",
                    "30",
                    "GMT",
                    "+",
                    "0000",
                    "99",
                    "\xa0",
                    ".",
                ]
            )
        ).map("".join)
    )
    @unhurried
    def test_any_date_is_understood_or_ignored(self, value: str) -> None:
        is_not_modified(headers(("If-Modified-Since", value)), ENTRY)
        precondition(headers(("If-Unmodified-Since", value))).require(PATH, None)

    @given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))
    @unhurried
    def test_a_date_that_we_give_comes_back_as_not_modified(self, modified: datetime) -> None:
        entry = Entry(PATH, size=1, modified=modified.astimezone(UTC), etag="v1")
        given_out = http_date(modified)
        assert is_not_modified(headers(("If-Modified-Since", given_out)), entry)
        assert not fails(headers(("If-Unmodified-Since", given_out)), entry)

    def test_dates_are_given_in_gmt(self) -> None:
        there = timezone(timedelta(hours=5, minutes=30))
        assert http_date(MODIFIED) == "Fri, 17 May 2024 12:30:45 GMT"
        assert http_date(MODIFIED.astimezone(there)) == "Fri, 17 May 2024 12:30:45 GMT"


Outcome = Literal[200, 304, 412]


def answer(request: Headers) -> Outcome:
    if fails(request):
        return 412
    return 304 if is_not_modified(request, ENTRY) else 200


def expected(match: str | None, unmodified: int | None, none_match: str | None, since: int | None) -> Outcome:
    """Section 13.2.2 step by step; dates are in seconds after the modification."""
    if match is not None:
        if match == "other":
            return 412
    elif unmodified is not None and unmodified < 0:
        return 412
    if none_match is not None:
        return 200 if none_match == "other" else 304
    if since is not None and since >= 0:
        return 304
    return 200


TAGS = {"any": "*", "this": '"v1"', "other": '"v2"'}


@pytest.mark.parametrize("match", [None, *TAGS])
@pytest.mark.parametrize("none_match", [None, *TAGS])
def test_conditions_have_the_precedence_of_the_rfc(match: str | None, none_match: str | None) -> None:
    for unmodified, since in product([None, -1, 0, 1], repeat=2):
        lines = []
        # In the reverse order of precedence, which must not matter.
        if since is not None:
            lines.append(("If-Modified-Since", http_date(MODIFIED + since * SECOND)))
        if none_match is not None:
            lines.append(("If-None-Match", TAGS[none_match]))
        if unmodified is not None:
            lines.append(("If-Unmodified-Since", http_date(MODIFIED + unmodified * SECOND)))
        if match is not None:
            lines.append(("If-Match", TAGS[match]))
        assert answer(headers(*lines)) == expected(match, unmodified, none_match, since), lines


class TestWrites:
    """What a PUT or DELETE demands of the artifact that is there, or is not."""

    @pytest.mark.parametrize(
        ("name", "value", "if_there", "if_missing"),
        [
            ("If-None-Match", "*", False, True),
            ("If-None-Match", '"v1"', False, True),
            ("If-None-Match", 'W/"v1"', False, True),
            ("If-None-Match", '"v2"', True, True),
            ("If-Match", "*", True, False),
            ("If-Match", '"v1"', True, False),
            ("If-Match", 'W/"v1"', False, False),
            ("If-Match", '"v2"', False, False),
            ("If-Match", "garbage", False, False),
            ("If-Unmodified-Since", http_date(MODIFIED), True, True),
            ("If-Unmodified-Since", http_date(MODIFIED - SECOND), False, True),
            ("If-Unmodified-Since", "garbage", True, True),
            ("If-Modified-Since", http_date(MODIFIED + SECOND), True, True),
        ],
    )
    def test_a_condition_holds_or_fails(
        self, name: str, value: str, if_there: bool, if_missing: bool
    ) -> None:
        demanded = precondition(headers((name, value)))
        for current, holds in [(ENTRY, if_there), (None, if_missing)]:
            if holds:
                demanded.require(PATH, current)
            else:
                with pytest.raises(PreconditionFailed, match=r"models/a\.bin"):
                    demanded.require(PATH, current)

    def test_no_condition_always_holds(self) -> None:
        for current in (ENTRY, None):
            precondition(headers()).require(PATH, current)

    def test_every_condition_must_hold(self) -> None:
        both = precondition(headers(("If-Match", '"v1"'), ("If-None-Match", '"v1"')))
        with pytest.raises(PreconditionFailed, match="If-None-Match"):
            both.require(PATH, ENTRY)

    def test_a_directory_has_no_tag_to_match(self) -> None:
        directory = Entry(PATH, is_dir=True)
        precondition(headers(("If-Match", "*"))).require(PATH, directory)
        with pytest.raises(PreconditionFailed):
            precondition(headers(("If-Match", '"v1"'))).require(PATH, directory)
