"""Whatever arrives, in whatever pieces, is read rightly or refused, in time by its length, and in bounds."""

from __future__ import annotations

import tarfile
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.archives.base import READER_BYTES, ArchiveReader
from app.archives.formats import FORMATS, MemberData
from app.errors import InvalidArchive
from tests.archives.archiving import Member, contents, cut, read, written
from tests.archives.recorded import ARCHIVES, FILES
from tests.archives.zip_parts import Part, field, zipped

MEMBERS = [Member("a/é", b"hello"), Member("b", b""), Member("n" * 120, b"\xff" * 700)]
SMALL = {name: written(name, MEMBERS) for name in FORMATS}
STREAMED = ARCHIVES["jar of OpenJDK 17.zip"]
LONGER = 4
"""So much longer an archive is that may take so much more time, and hardly more. Where the time grew with the
square of the length, it would be 16 times as much."""
formats = pytest.mark.parametrize("name", list(FORMATS))


@formats
def test_an_archive_that_is_cut_anywhere_is_refused(name: str) -> None:
    archive = SMALL[name]
    # What comes after the two empty blocks at the end of a tar is padding, which may be missing.
    last = 512 * -(-len(archive.rstrip(b"\0")) // 512) + 1024 if name == "tar" else len(archive)
    assert read(name, archive[:last]) == contents(MEMBERS)
    for stop in range(last):
        with pytest.raises(InvalidArchive):
            read(name, archive[:stop], 1000)


@formats
def test_bytes_may_come_one_by_one(name: str) -> None:
    assert read(name, SMALL[name], 1) == contents(MEMBERS)


@pytest.mark.parametrize("archive", [SMALL["zip"], STREAMED], ids=["ours", "streamed by Java"])
@given(st.data())
def test_a_zip_with_a_bit_that_fell_over_is_refused_or_the_same(archive: bytes, data: st.DataObject) -> None:
    damaged = bytearray(archive)
    for bit in data.draw(st.sets(st.integers(0, 8 * len(archive) - 1), min_size=1, max_size=3)):
        damaged[bit // 8] ^= 1 << bit % 8
    try:
        members = read("zip", bytes(damaged))
    except InvalidArchive:
        return
    assert dict(members) == (FILES if archive is STREAMED else dict(contents(MEMBERS)))


def test_a_tar_with_a_bit_that_fell_over_in_a_header_is_refused_or_the_same() -> None:
    archive = written("tar", [Member("dir/name", b"hello")])
    for bit in range(8 * tarfile.BLOCKSIZE):
        damaged = bytearray(archive)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            members = read("tar", bytes(damaged))
        except InvalidArchive:
            continue
        assert members == [("dir/name", b"hello")]


@formats
@given(st.data(), st.lists(st.integers(1, 2000), min_size=1, max_size=5))
@example(None, [1])
def test_anything_is_an_archive_or_an_invalid_one(
    name: str, data: st.DataObject | None, sizes: list[int]
) -> None:
    archive = bytearray(SMALL[name])
    if data is not None:
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(archive)))
            archive[at : at + data.draw(st.integers(0, 600))] = data.draw(st.binary(max_size=600))
    try:
        whole = read(name, bytes(archive))
    except InvalidArchive:
        with pytest.raises(InvalidArchive):
            read(name, bytes(archive), *sizes)
    else:
        assert read(name, bytes(archive), *sizes) == whole


def test_a_bomb_goes_off_in_little_memory() -> None:
    size = 200_000_000
    archive = zipped([Part.of(bytes(size), deflate=True)])
    assert len(archive) < size / 1000
    reader = FORMATS["zip"].reader()
    tracemalloc.start()
    try:
        found = sum(len(event.data) for event in reader.feed(archive) if isinstance(event, MemberData))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    reader.close()
    assert found == size
    assert peak < READER_BYTES


def pax_header(size: int) -> bytes:
    record = b"%d comment=" % size
    return record + b"c" * (size - len(record) - 1) + b"\n"


def extension(type_: bytes, content: bytes) -> bytes:
    header = tarfile.TarInfo("x")
    header.type, header.size = type_, len(content)
    return header.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def extra_fields(count: int) -> bytes:
    return b"".join(field(kind, b"") for kind in range(2, count + 2))


def empty_member() -> bytes:
    return Part(b"n" * 65_535, b"", crc=0, packed=0, size=0).local


LABORIOUS: dict[str, tuple[str, int, Callable[[int], bytes]]] = {
    "a long header, byte by byte": ("tar", 1, lambda n: extension(b"x", pax_header(16_250 * n))),
    "a long name, byte by byte": ("tar", 1, lambda n: extension(b"L", b"n" * 16_250 * n)),
    "many records": ("tar", 4096, lambda n: extension(b"x", b"6 a=b\n" * 2_500 * n) * 5),
    "headers for headers": ("tar", 4096, lambda n: extension(b"x", b"9 path=b\n") * 500 * n),
    "names for names": ("tar", 4096, lambda n: extension(b"L", b"n") * 500 * n),
    "directories": ("tar", 4096, lambda n: tarfile.TarInfo("d/").tobuf() * 500 * n),
    "empty blocks": ("zip", 4096, lambda n: Part(b"a", b"\0\0\0\xff\xff" * 50_000 * n, method=8).local),
    "long names": ("zip", 4096, lambda n: empty_member() * 25 * n),
    "a long name of a member, byte by byte": ("zip", 1, lambda n: Part(b"n" * 16_383 * n).local),
    "extra fields": ("zip", 4096, lambda n: Part(b"n" * 9, extra=extra_fields(4_095 * n)).local * 5),
}
"""What a reader is fed in pieces of so many bytes, by its length."""
laborious = pytest.mark.parametrize(("name", "piece", "made"), LABORIOUS.values(), ids=LABORIOUS)


def feed(name: str, archive: bytes, piece: int) -> ArchiveReader:
    reader = FORMATS[name].reader()
    deque(chain.from_iterable(map(reader.feed, cut(archive, [piece]))), maxlen=0)
    return reader


@laborious
def test_what_makes_work_costs_time_by_its_length(
    name: str, piece: int, made: Callable[[int], bytes]
) -> None:
    def seconds(archive: bytes) -> float:
        began = time.process_time()
        feed(name, archive, piece)
        return time.process_time() - began

    short, long = made(1), made(LONGER)
    assert LONGER - 0.5 < len(long) / len(short) <= LONGER
    costs = [(seconds(short), seconds(long)) for _ in range(5)]
    assert min(cost for _, cost in costs) < 2 * LONGER * min(cost for cost, _ in costs)


@laborious
def test_what_makes_work_takes_bounded_memory(name: str, piece: int, made: Callable[[int], bytes]) -> None:
    archive = made(LONGER)
    tracemalloc.start()
    try:
        reader = feed(name, archive, piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    with pytest.raises(InvalidArchive, match="cut off"):
        reader.close()
    assert peak < READER_BYTES


@formats
def test_a_reader_that_has_refused_an_archive_goes_on_refusing(name: str) -> None:
    reader = FORMATS[name].reader()
    for piece in (SMALL[name], b"more"):
        try:
            list(reader.feed(piece))
        except InvalidArchive as error:
            refused = str(error)
    assert "follows the end" in refused
    with pytest.raises(InvalidArchive):
        reader.close()


@formats
def test_events_that_were_not_taken_are_missed(name: str) -> None:
    reader = FORMATS[name].reader()
    next(reader.feed(SMALL[name]))
    with pytest.raises(RuntimeError, match="not all taken"):
        next(reader.feed(b"more"))
