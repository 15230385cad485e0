"""Zip archives of other programs are read; what is no plain file is refused by name."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import replace
from io import BytesIO, RawIOBase
from stat import S_IFBLK, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG

import pytest

from app.archives import zip_records as records
from app.errors import InvalidArchive
from tests.archives.archiving import read
from tests.archives.recorded import ARCHIVES, FILES, FROM_STANDARD_INPUT
from tests.archives.zip_parts import Directory, Part, end, end64, field, zipped

HELLO = Part()
ZEROS = Part.of(bytes(3_000_000), deflate=True)


class Pipe(RawIOBase):
    """A file that only takes bytes, as a socket does."""

    def __init__(self) -> None:
        self.content = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # narrower, as zipfile gives only these
        self.content += data
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_python_writes_into_a_file_is_read(method: int) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        opened.comment = b"a comment"
        opened.mkdir("sub")
        for name, content in FILES.items():
            opened.writestr(name, content)
    assert dict(read("zip", buffer.getvalue(), 5)) == FILES


@pytest.mark.parametrize("zip64", [False, True])
def test_what_python_writes_into_a_pipe_is_read(zip64: bool) -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in FILES.items():
            with opened.open(name, "w", force_zip64=zip64) as member:
                member.write(content)
    assert dict(read("zip", pipe.content, 5)) == FILES


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_other_programs_write_is_read(name: str) -> None:
    assert dict(read(name[-3:], ARCHIVES[name])) == FILES
    assert dict(read(name[-3:], ARCHIVES[name], 3)) == FILES


def test_what_info_zip_took_from_a_pipe_is_a_file() -> None:
    assert read("zip", FROM_STANDARD_INPUT) == [("-", FILES["text"])]


def test_a_stored_member_whose_size_comes_after_it_is_refused() -> None:
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as opened:
        opened.writestr("a", b"hello")
    with pytest.raises(InvalidArchive, match=r"'a' .* is stored, with its size behind it.* compress it"):
        read("zip", pipe.content)


@pytest.mark.parametrize("signature", [b"", records.DESCRIPTOR_SIGNATURE])
@pytest.mark.parametrize("packing", [records.DESCRIPTOR, records.DESCRIPTOR64])
@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x07\x08PK\x01\x02" * 9, bytes(1_000_000)])
def test_every_form_of_a_data_descriptor_is_understood(
    signature: bytes, packing: struct.Struct, data: bytes
) -> None:
    part = Part.of(data, deflate=True)
    right = (part.crc, part.packed, part.size)
    followed = part.followed(signature + packing.pack(*right))
    assert read("zip", zipped([followed, replace(HELLO, name=b"b")])) == [("a", data), ("b", b"hello")]
    assert read("zip", zipped([followed]), 1000, 1) == [("a", data)]
    for at in range(3):
        wrong = [number + (at == index) for index, number in enumerate(right)]
        with pytest.raises(InvalidArchive, match="bytes of 'a'"):
            read("zip", zipped([part.followed(signature + packing.pack(*wrong)), HELLO]))


def test_sizes_may_stand_in_front_of_a_member_as_well_as_behind_it() -> None:
    for part in (HELLO, Part.of(b"hello", deflate=True)):
        followed = part.followed(records.DESCRIPTOR.pack(part.crc, part.packed, 5))
        told = replace(followed, packed=part.packed, size=5)
        assert read("zip", zipped([told])) == [("a", b"hello")]
        with pytest.raises(InvalidArchive, match="'a'"):
            read("zip", zipped([replace(told, size=6)]))


def test_large_numbers_are_taken_from_their_field() -> None:
    extra = field(records.ZIP64_EXTRA, struct.pack("<QQ", 5, 5))
    large = replace(HELLO, packed=records.IN_32, size=records.IN_32, extra=extra)
    assert read("zip", zipped([large])) == [("a", b"hello")]
    assert read("zip", zipped([replace(large, listed=HELLO)])) == [("a", b"hello")]
    for wrong in (
        extra[:-8],
        extra * 2,
        field(1, extra[4:-8]),
        b"\x01\x00\xff\x00",
        field(1, struct.pack("<QQ", 5, 6)),
    ):
        with pytest.raises(InvalidArchive, match="damaged"):
            read("zip", zipped([replace(large, extra=wrong)]))


def test_extra_fields_may_be_padded_and_unknown() -> None:
    extra = field(0xCAFE, b"x") * 2 + bytes(3)
    assert read("zip", zipped([replace(HELLO, extra=extra)])) == [("a", b"hello")]


@pytest.mark.parametrize(
    ("raw", "flags", "extra", "name"),
    [
        ("é".encode(), records.UTF_8, b"", "é"),
        ("é".encode(), 0, b"", "é"),  # as Info-ZIP on Linux
        (b"caf\x82", 0, b"", "café"),
        (
            b"caf?",
            0,
            field(0x7075, b"\x01" + struct.pack("<L", zlib.crc32(b"caf?")) + "café".encode()),
            "café",
        ),
        (
            b"cafe",
            0,
            field(0x7075, b"\x01" + struct.pack("<L", zlib.crc32(b"caf?")) + "café".encode()),
            "cafe",
        ),
        (b"cafe", 0, field(0x7075, b"\x01"), "cafe"),
        *((name, 0, b"", name.decode()) for name in (b"../../etc/passwd", b"/etc", b"C:\\x", b"a\0b", b"")),
    ],
)
def test_names_are_given_as_they_are(raw: bytes, flags: int, extra: bytes, name: str) -> None:
    part = replace(HELLO, name=raw, flags=flags, extra=extra)
    assert read("zip", zipped([part])) == [(name, b"hello")]


@pytest.mark.parametrize(
    ("flags", "extra"),
    [(records.UTF_8, b""), (0, field(0x7075, b"\x01" + struct.pack("<L", zlib.crc32(b"\xff")) + b"\xff"))],
)
def test_a_name_that_is_not_the_utf_8_that_it_says_is_refused(flags: int, extra: bytes) -> None:
    with pytest.raises(InvalidArchive, match=r"name b'\\xff' .* UTF-8"):
        read("zip", zipped([replace(HELLO, name=b"\xff", flags=flags, extra=extra)]))


def test_directories_bring_no_events() -> None:
    empty = Part(b"d/", b"", crc=0, packed=0, size=0, attributes=(S_IFDIR | 0o755) << 16)
    as_java_does = Part.of(b"", deflate=True, name=b"e/").followed(records.DESCRIPTOR.pack(0, 2, 0))
    assert read("zip", zipped([empty, HELLO, as_java_does])) == [("a", b"hello")]
    with pytest.raises(InvalidArchive, match="'d/'"):
        read("zip", zipped([replace(HELLO, name=b"d/")]))


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        (S_IFLNK, b"a", "'a' .* symbolic link; archive what"),
        (S_IFBLK, b"a", "'a' .* no file"),
        (S_IFDIR, b"a", "'a' .* no file"),
        (S_IFREG, b"d/", "'d/' .* no file"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(mode: int, name: bytes, words: str) -> None:
    part = Part(name, b"", crc=0, packed=0, size=0, attributes=(mode | 0o644) << 16)
    for system in (3, 19):
        with pytest.raises(InvalidArchive, match=words):
            read("zip", zipped([replace(part, made_by=system << 8)]))
    expected = [] if name == b"d/" else [("a", b"")]
    assert read("zip", zipped([replace(part, made_by=0)])) == expected, "on DOS, these bits mean nothing"
    assert read("zip", zipped([replace(HELLO, attributes=S_IFIFO << 16)])) == [("a", b"hello")]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (replace(HELLO, flags=records.ENCRYPTED), "'a' .* encrypted"),
        (replace(HELLO, flags=records.STRONGLY_ENCRYPTED), "encrypted"),
        (replace(HELLO, flags=records.MASKED), "encrypted"),
        (replace(HELLO, listed=replace(HELLO, flags=records.ENCRYPTED)), "encrypted"),
        (replace(HELLO, flags=records.PATCHED), "patch"),
        (replace(HELLO, method=12), r"method 12 \(bzip2\); use Deflate"),
        (replace(HELLO, method=77), "method 77; use Deflate"),
        (replace(HELLO, crc=1), "bytes of 'a' do not fit"),
        (replace(HELLO, packed=4), "'a'"),
        (replace(HELLO, packed=6, size=6), "'a'"),
        (replace(ZEROS, body=ZEROS.body[:-9] + b"\xff" * 9), "'a'"),
        (replace(ZEROS, size=ZEROS.size - 1), "'a'"),
        (replace(ZEROS, size=ZEROS.size + 1), "'a'"),
        (replace(ZEROS, packed=ZEROS.packed - 1), "'a'"),
        (replace(ZEROS, packed=ZEROS.packed + 1, body=ZEROS.body + b"\0"), "'a'"),
        (replace(HELLO, disk=1), "one of several parts"),
    ],
)
def test_a_member_that_is_not_taken_is_refused(part: Part, words: str) -> None:
    with pytest.raises(InvalidArchive, match=words):
        read("zip", zipped([part]))


B = replace(HELLO, name=b"b")


def test_the_order_in_the_central_directory_does_not_matter() -> None:
    first, second = HELLO.local, B.local
    central = B.central(len(first)) + HELLO.central(0, b"with a comment")
    archive = (
        first + second + central + end(Directory(2, len(central), len(first + second)), b"comment" * 9000)
    )
    assert read("zip", archive, 100) == [("a", b"hello"), ("b", b"hello")]


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [HELLO],
        [HELLO, HELLO],
        [HELLO, B, B],
        [HELLO, replace(B, name=b"c")],
        [HELLO, replace(B, name=b"B")],
        [HELLO, replace(B, crc=B.crc ^ 1)],
        [HELLO, replace(B, size=6)],
        [HELLO, replace(B, packed=4)],
        [HELLO, replace(B, method=records.DEFLATED)],
        [HELLO, replace(B, offset=0)],
        [replace(B, offset=0), replace(HELLO, offset=len(HELLO.local))],
    ],
)
def test_a_directory_that_does_not_list_what_came_is_refused(listed: list[Part]) -> None:
    with pytest.raises(InvalidArchive, match="does not list the members"):
        read("zip", zipped([HELLO, B], listed))


def test_the_end_must_fit_to_what_comes_before() -> None:
    start = HELLO.local + HELLO.central(0)
    at = len(start)
    right = Directory(1, len(HELLO.central(0)), len(HELLO.local))
    full = end(Directory(0xFFFF, records.IN_32, records.IN_32))
    for ending in (end(right), end64(right, at) + full, end64(right, at, b"more") + end(right)):
        assert read("zip", start + ending) == [("a", b"hello")]
    wrong = [full, end(right, disk=1), end64(right, at + 1) + full, end64(right, at, disks=2) + full]
    for place in range(3):
        lie = Directory(*(number + (place == index) for index, number in enumerate(right)))
        wrong += [end(lie), end64(lie, at) + full, end64(right, at) + end(lie)]
    for ending in wrong:
        with pytest.raises(InvalidArchive, match="its end does not fit"):
            read("zip", start + ending)
    without_locator = end64(right, at)[:-20] + end(right)
    for ending in (b"PK\x05\x05" + bytes(90), b"PK\x06\x08" + bytes(90), without_locator):
        with pytest.raises(InvalidArchive, match="no record that is known"):
            read("zip", start + ending)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"", "cut off after 0 bytes"),
        (b"PK", "cut off after 2 bytes"),
        (zipped([HELLO]) + b"\0", "follows the end of the zip archive"),
        (zipped([HELLO]) * 2, "follows the end of the zip archive"),
        (b"#!/bin/sh\n" + zipped([HELLO]), "a program that unpacks itself"),
        (b"\x1f\x8b\x08\0", "but like gzip"),
        (records.DESCRIPTOR_SIGNATURE + zipped([HELLO]), "one of several parts"),
        (b"PK00" + zipped([HELLO]), "one of several parts"),
        (HELLO.local + b"garbage" * 9, "does not list"),
    ],
)
def test_what_is_not_one_whole_archive_is_refused(archive: bytes, words: str) -> None:
    with pytest.raises(InvalidArchive, match=words):
        read("zip", archive)


def test_an_empty_archive_has_no_members() -> None:
    assert read("zip", zipped([])) == []


def test_a_member_that_ends_in_the_middle_of_what_was_fed_is_followed_by_the_next() -> None:
    """zlib leaves its unconsumed tail as it was when what it gave at last is all that there is."""
    several = [ZEROS, replace(ZEROS, name=b"b"), HELLO]
    assert [name for name, _ in read("zip", zipped(several))] == ["a", "b", "a"]
