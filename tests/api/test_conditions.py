"""Conditional requests (RFC 9110, section 13), as tables and against oracles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from app.api.conditions import http_date, is_not_modified, precondition, range_holds, write_precondition
from app.errors import InvalidRequest, PreconditionFailed
from app.paths import ArtifactPath
from app.storage.entry import Entry
from tests.support.headers import headers

PATH = ArtifactPath.parse("models/a.bin")
# Storage knows parts of a second, HTTP does not.
MODIFIED = datetime(2024, 5, 17, 12, 30, 45, 987_654, tzinfo=UTC)
ENTRY = Entry(PATH, size=10, modified=MODIFIED, etag="v1")
SECOND = timedelta(seconds=1)


def fails(request: Headers, entry: Entry = ENTRY) -> bool:
    """Whether a read is answered 412."""
    try:
        is_not_modified(request, entry)
    except PreconditionFailed:
        return True
    return False


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
    def test_any_date_is_understood_or_ignored(self, value: str) -> None:
        is_not_modified(headers(("If-Modified-Since", value)), ENTRY)
        precondition(headers(("If-Unmodified-Since", value))).require(PATH, None)

    @given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.timezones()))
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


class TestReadability:
    @pytest.mark.parametrize("line", ["*", '"a"', 'W/"a"', '"a", "b"', '"a",,"b"', ' , "a" ,', '""', '"a,b"'])
    @pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
    def test_what_can_be_read_is_taken(self, name: str, line: str) -> None:
        assert write_precondition(headers((name, line))) == precondition(headers((name, line)))

    @pytest.mark.parametrize("line", ["", "a", '"a', '"a" "b"', "*, *", '*, "a"', 'w/"a"', '"a", b', ","])
    @pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
    def test_what_cannot_be_read_is_refused_and_never_ignored(self, name: str, line: str) -> None:
        with pytest.raises(InvalidRequest, match=name):
            write_precondition(headers((name, line)))

    @pytest.mark.parametrize(
        "hostile", ['"a" ,\t, ' * 100_000 + "x", '"a",' + " " * 1_000_000 + "x", "," * 1_000_000]
    )
    def test_a_hostile_list_is_judged_in_linear_time(self, hostile: str) -> None:
        """In quadratic time, each of these would take an hour."""
        with pytest.raises(InvalidRequest):
            write_precondition(headers(("If-Match", hostile)))
