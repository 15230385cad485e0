"""How large the parts of an upload to S3 are."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import (
    RequestTooLarge,
)
from app.storage.s3.parts import MAX_OBJECT, MAX_PARTS, part_size

MIB = 1024 * 1024
GIB = 1024 * MIB


class TestParts:
    @given(st.integers(0, MAX_OBJECT), st.integers(5 * MIB, 5 * GIB))
    @example(MAX_OBJECT, 5 * MIB)
    @example(MAX_OBJECT, 5 * GIB)
    @example(0, 5 * MIB)
    @example(MAX_PARTS * 5 * MIB, 5 * MIB)
    @example(MAX_PARTS * 5 * MIB + 1, 5 * MIB)
    def test_any_size_fits_into_parts_that_s3_takes(self, total: int, configured: int) -> None:
        size = part_size(configured, total)
        assert configured <= size <= 5 * GIB
        assert -(-total // size) <= MAX_PARTS
        assert size == configured or total > configured * MAX_PARTS, "larger only where it must be"

    def test_of_an_unknown_size_they_are_as_configured(self) -> None:
        assert part_size(7 * MIB, None) == 7 * MIB

    def test_nothing_is_larger_than_s3_takes(self) -> None:
        assert MAX_OBJECT == 5 * 1024 * GIB
        for total in (MAX_OBJECT + 1, 10**30):
            with pytest.raises(RequestTooLarge, match=str(MAX_OBJECT)):
                part_size(8 * MIB, total)
