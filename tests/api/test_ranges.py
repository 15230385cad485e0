"""Ranges of bytes (RFC 9110, section 14): how they are read, and where they lie in an artifact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.conditions import wanted_range
from app.storage.ranges import ByteRange
from tests.support.headers import headers

GOOGOL = 10**49  # 50 digits


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
    def test_any_range_is_understood_or_ignored(self, value: str) -> None:
        wanted = wanted_range(headers(("Range", value)))
        if wanted is not None:
            assert wanted.first is not None or wanted.last is not None
            assert wanted.first is None or wanted.last is None or wanted.first <= wanted.last

    @given(st.none() | st.integers(0, GOOGOL), st.none() | st.integers(0, GOOGOL))
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
    def test_first_and_last_are_the_positions_between_them(
        self, first: int, length: int | None, size: int
    ) -> None:
        last = None if length is None else first + length
        positions = [p for p in range(size) if first <= p and (last is None or p <= last)]
        span = ByteRange(first, last).resolve(size)
        assert (list(range(*span)) if span else []) == positions
        assert (span is None) is (not positions)

    @given(numbers, st.binary(max_size=50))
    def test_a_suffix_is_the_last_bytes(self, length: int, data: bytes) -> None:
        span = ByteRange(None, length).resolve(len(data))
        assert (data[span.start : span.stop] if span else b"") == (data[-length:] if length else b"")

    @given(st.none() | numbers, st.none() | numbers, st.integers(0, 2**63 - 1))
    def test_a_span_never_leaves_the_artifact(self, first: int | None, last: int | None, size: int) -> None:
        span = ByteRange(first, last).resolve(size)
        assert span is None or 0 <= span.start < span.stop <= size
