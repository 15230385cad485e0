"""What a writer wrote is what the reader reads, in whatever pieces, and however large."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime
from io import BytesIO
from zipfile import ZipFile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.archives.formats import FORMATS
from tests.archives.archiving import Member, contents, read, written

formats = pytest.mark.parametrize("name", list(FORMATS))

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=300).map(
    lambda text: text.replace("/", "_")
)
times = st.none() | st.datetimes(datetime(1902, 1, 1), datetime(2107, 1, 1), timezones=st.just(UTC))
members = st.builds(
    Member,
    st.lists(names, min_size=1, max_size=4).map("/".join).filter(lambda name: not name.startswith("./")),
    st.binary(max_size=2000) | st.sampled_from([65_534, 65_535, 65_536, 131_070, 131_071]).map(bytes),
    times,
)


@formats
@given(
    st.lists(members, max_size=4),
    st.integers(100, 200_000),
    st.lists(st.integers(1, 70_000), max_size=9).map(lambda sizes: [*sizes, 5_000]),
)
@example([], 100, [1])
@example(
    [Member("a/b", b""), Member("é" * 512, b"x" * 65_535, datetime(2050, 1, 1, tzinfo=UTC))], 65_535, [1]
)
@example([Member("n" * 1024, bytes(131_070))], 131_070, [512])
def test_what_was_written_is_read_in_any_pieces(
    name: str, archived: list[Member], piece: int, sizes: list[int]
) -> None:
    assert read(name, written(name, archived, piece), *sizes) == contents(archived)


@given(members)
def test_a_tar_tells_names_and_times_to_pythons_own_module(member: Member) -> None:
    with tarfile.open(fileobj=BytesIO(written("tar", [member]))) as opened:
        (found,) = opened.getmembers()
    assert (found.name, found.size, found.mode) == (member.name, len(member.content), 0o644)
    assert found.mtime == (member.modified or datetime(1970, 1, 1, tzinfo=UTC)).timestamp() // 1


@given(members)
@example(Member("a", b"", datetime(2108, 1, 1, tzinfo=UTC)))
@example(Member("a", b"", datetime(1979, 12, 31, tzinfo=UTC)))
def test_a_zip_tells_names_and_times_to_pythons_own_module(member: Member) -> None:
    with ZipFile(BytesIO(written("zip", [member]))) as opened:
        (found,) = opened.infolist()
        assert opened.read(found) == member.content
    assert (found.filename, found.external_attr >> 16) == (member.name, 0o100644)
    earliest, latest = datetime(1980, 1, 1, tzinfo=UTC), datetime(2107, 12, 31, 23, 59, 59, tzinfo=UTC)
    time = min(max(member.modified or earliest, earliest), latest)
    assert found.date_time == (*time.timetuple()[:5], time.second // 2 * 2)


@formats
@pytest.mark.parametrize("end", [False, True])
def test_a_member_that_has_other_bytes_than_announced_is_told(name: str, end: bool) -> None:
    writer = FORMATS[name].writer()
    writer.begin("a", 5, None)
    writer.data(b"1234")
    with pytest.raises(ValueError, match=r"^'a' has 4 bytes; 5 were" if end else r"^'a' has more than the 5"):
        writer.end() if end else writer.data(b"56")
