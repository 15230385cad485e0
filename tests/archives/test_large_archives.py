"""Members and archives beyond the numbers that the formats first had room for, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from zipfile import ZipFile

import pytest

from app.archives.base import MAX_DATA_BYTES
from app.archives.formats import FORMATS, ArchiveReader, MemberBegins, MemberData
from tests.archives.archiving import Member, contents, read, written

CHUNK = bytes(MAX_DATA_BYTES)
MEGABYTE = 1 << 20
MANY = 65_536


def large_archive(name: str, size: int) -> Iterator[tuple[bytes | bytearray, bool]]:
    """An archive of "large", of zeros, and "small"; with each piece, whether it is those zeros."""
    writer = FORMATS[name].writer()
    yield writer.begin("large", size, None), False
    for chunk in repeat(CHUNK, size // len(CHUNK)):
        yield writer.data(chunk), True
    yield writer.data(CHUNK[: size % len(CHUNK)]) + writer.end(), False
    yield writer.begin("small", 5, None) + writer.data(b"small") + writer.end(), False
    for piece in writer.finish():
        yield piece, False


def sizes_read(
    reader: ArchiveReader, archive: Iterator[bytes | bytearray]
) -> dict[str, tuple[int | None, int]]:
    """Of each member, the size that was announced and the number of bytes that came."""
    found: dict[str, tuple[int | None, int]] = {}
    name = ""
    for piece in archive:
        for event in reader.feed(bytes(piece)):
            if isinstance(event, MemberBegins):
                name, found[event.name] = event.name, (event.size, 0)
            elif isinstance(event, MemberData):
                announced, count = found[name]
                found[name] = announced, count + len(event.data)
    reader.close()
    return found


@pytest.mark.parametrize(("name", "size"), [("tar", (8 << 30) + 1), ("zip", 4 << 30)])
def test_a_member_beyond_32_bits_is_read_and_listed(
    name: str, size: int, tmp_path: Path, need: Callable[[str], str]
) -> None:
    path = tmp_path / f"large.{name}"
    with path.open("wb") as file:

        def kept() -> Iterator[bytes | bytearray]:
            for piece, zeros in large_archive(name, size):
                file.seek(len(piece), os.SEEK_CUR) if zeros else file.write(piece)
                yield piece

        assert sizes_read(FORMATS[name].reader(), kept()) == {"large": (size, size), "small": (5, 5)}
    listing = [need("tar"), "-tvf"] if name == "tar" else [need("unzip"), "-l"]
    listed = subprocess.run([*listing, path], check=True, capture_output=True, text=True).stdout
    assert {str(size), "5", "small"} <= set(listed.split())
    if name == "zip":
        with ZipFile(path) as opened:
            assert [info.file_size for info in opened.infolist()] == [size, 5]
            assert opened.read("small") == b"small"


def test_more_members_than_16_bits_can_count(need: Callable[[str], str], tmp_path: Path) -> None:
    members = [Member(f"{number}", b"") for number in range(MANY)]
    archive = written("zip", members)
    assert read("zip", archive, MEGABYTE) == contents(members)
    (tmp_path / "many.zip").write_bytes(archive)
    tested = subprocess.run([need("unzip"), "-tqq", tmp_path / "many.zip"], check=False)
    assert tested.returncode == 0


def test_a_zip_writer_holds_what_it_says_and_a_tar_writer_nothing() -> None:
    tar, zip_ = FORMATS["tar"].writer(), FORMATS["zip"].writer()
    tracemalloc.start()
    try:
        for number in range(2_000):
            for writer in (tar, zip_):
                writer.begin(f"{number:05}", 0, None)
                writer.end()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert tar.held == 0
    assert zip_.held == 2_000 * (46 + 5)
    assert held < 1.2 * zip_.held + 20_000
    pieces = list(zip_.finish())
    assert max(map(len, pieces)) < 66_000
    assert sum(map(len, pieces)) == zip_.held + 22


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_reader_keeps_nothing_of_what_it_has_read(name: str) -> None:
    archive = written(name, [Member(f"{number}", b"") for number in range(3_000)])
    pieces = (archive[at : at + 4096] for at in range(0, len(archive), 4096))
    reader = FORMATS[name].reader()
    tracemalloc.start()
    try:
        count = sum(isinstance(event, MemberBegins) for piece in pieces for event in reader.feed(piece))
        reader.close()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 3_000
    assert peak < 100_000
