"""Tar archives of other programs are read; what is no plain file is refused by name."""

from __future__ import annotations

import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from app.archives.formats import FORMATS, MemberBegins, MemberData, MemberDirectory, MemberEnds
from app.archives.tar_reader import MAX_EXTENSION_BYTES
from app.errors import InvalidArchive
from tests.archives.archiving import read

FILES = {"text": b"hello\n" * 5000, "empty": b"", "sub/é": b"x" * 512, "/".join(["d" * 70] * 3): b"deep"}
LONG = "n" * 300


def tar(*members: tarfile.TarInfo, format_: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of Python's own module; files are full of "x"."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format_) as opened:
        for member in members:
            opened.addfile(member, BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str = "a", type_: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size = type_, size
    return made


def extended(records: bytes, type_: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header for the member that follows it."""
    header = member("pax", type_, len(records)).tobuf(tarfile.USTAR_FORMAT)
    return header + records + bytes(-len(records) % 512)


def record(keyword: str, value: str) -> bytes:
    rest = f" {keyword}={value}\n".encode()
    length = next(n for n in range(len(rest), len(rest) + 9) if len(f"{n}") + len(rest) == n)
    return b"%d%b" % (length, rest)


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "pax", "busybox"])
@pytest.mark.parametrize("start", [".", "*"])
def test_what_programs_archive_is_read(
    form: str, start: str, tmp_path: Path, need: Callable[[str], str]
) -> None:
    files = {name: content for name, content in FILES.items() if form != "v7" or len(name) < 100}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    names = [start] if start == "." else os.listdir(tmp_path)
    program = [need("busybox"), "tar"] if form == "busybox" else [need("tar"), f"--format={form}"]
    made = subprocess.run([*program, "-cf", "-", *names], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
    assert dict(read("tar", made.stdout, 1000)) == files


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_archives_is_read(format_: int) -> None:
    directory = member("dir", tarfile.DIRTYPE)
    archive = tar(directory, member("dir/a", size=700), member("é" * 40 + "/b", size=1), format_=format_)
    assert read("tar", archive) == [("dir/a", b"x" * 700), ("é" * 40 + "/b", b"x")]


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_long_name_is_of_one_member_only(format_: int) -> None:
    archive = tar(member(LONG), member("short", size=3), format_=format_)
    assert read("tar", archive, 7) == [(LONG, b""), ("short", b"xxx")]


def test_the_long_name_of_what_a_link_leads_to_is_passed_over() -> None:
    archive = extended(LONG.encode() + b"\0", tarfile.GNUTYPE_LONGLINK) + tar(member())
    assert read("tar", archive) == [("a", b"")]


def test_a_file_of_an_old_kind_is_a_file() -> None:
    archive = tar(
        member("a", tarfile.AREGTYPE, 5), member("b/", tarfile.AREGTYPE), member("c", tarfile.CONTTYPE, 1)
    )
    assert read("tar", archive) == [("a", b"xxxxx"), ("c", b"x")]


@pytest.mark.parametrize("type_", [tarfile.AREGTYPE, tarfile.DIRTYPE])
def test_a_directory_with_bytes_is_refused(type_: bytes) -> None:
    """GNU tar and others make different things of them: a file, which hides, or the next header."""
    own = member("d/", type_, 1024).tobuf(tarfile.USTAR_FORMAT)
    extended_size = extended(record("size", "1024")) + member("d/", type_).tobuf(tarfile.USTAR_FORMAT)
    for directory in (own, extended_size):
        with pytest.raises(InvalidArchive, match=r"The directory 'd/' .* has 1024 bytes"):
            read("tar", directory + tar(member("hidden")))


@pytest.mark.parametrize("format_name", ["tar", "zip"])
def test_directories_are_told_of_by_their_names(format_name: str, tmp_path: Path) -> None:
    buffer = BytesIO()
    if format_name == "tar":
        archive = tar(member("../d", tarfile.DIRTYPE), member("old/", tarfile.AREGTYPE), member("a", size=1))
    else:
        with zipfile.ZipFile(buffer, "w") as opened:
            for name, content in (("../d/", ""), ("old/", ""), ("a", "x")):
                opened.writestr(zipfile.ZipInfo(name), content)
        archive = buffer.getvalue()
    assert list(FORMATS[format_name].reader().feed(archive)) == [
        *(MemberDirectory("../d/"), MemberDirectory("old/")),
        *(MemberBegins("a", 1), MemberData(b"x"), MemberEnds()),
    ]


def test_names_are_given_as_they_are() -> None:
    names = ["../../etc/passwd", "/etc/passwd", "a//b", "a/./b", "C:\\x", "."]
    assert [name for name, _ in read("tar", tar(*map(member, names)))] == names


def test_what_an_extended_header_says_goes_before_the_header_itself() -> None:
    records = record("size", "5") + record("mtime", "1.5") + record("path", "b/é") + record("path", "")
    header = extended(records + record("SCHILY.xattr.user.a", "\0=\n=")) + member(size=7_000).tobuf()
    archive = header + b"12345".ljust(512, b"\0") + tar(member("c"))
    assert read("tar", archive, 100) == [("b/é", b"12345"), ("c", b"")]


@pytest.mark.parametrize(
    ("type_", "words"),
    [
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "FIFO"),
        (tarfile.GNUTYPE_SPARSE, "sparse"),
        (b"D", "type 'D'"),
        (b"M", "type 'M'"),
        (b"\xff", "type '\\\\xff'"),
    ],
)
def test_what_is_no_plain_file_is_refused_by_name(type_: bytes, words: str) -> None:
    with pytest.raises(InvalidArchive, match=rf"'dir/{LONG[:110]}.*{words}"):
        read("tar", tar(member(f"dir/{LONG}", type_)))


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("GNU.sparse.major", "1", "sparse"),
        ("hdrcharset", "BINARY", "not UTF-8"),
        ("size", "-1", "the size b'-1'"),
        ("size", "1e3", "the size b'1e3'"),
        ("size", "9" * 5000, "the size b'99"),
        ("comment", "c" * MAX_EXTENSION_BYTES, "extended header .* has 65"),
    ],
)
def test_an_extended_header_that_is_not_taken_is_refused(keyword: str, value: str, words: str) -> None:
    for type_ in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE):
        with pytest.raises(InvalidArchive, match=words):
            read("tar", extended(record(keyword, value), type_) + tar(member()))


def test_a_global_header_may_not_name_files() -> None:
    comment = extended(record("comment", "of git"), tarfile.XGLTYPE)
    assert read("tar", comment + tar(member())) == [("a", b"")]
    for keyword, value in (("path", "b"), ("size", "5")):
        with pytest.raises(InvalidArchive, match="global"):
            read("tar", extended(record(keyword, value), tarfile.XGLTYPE) + tar(member()))


@pytest.mark.parametrize(
    "records",
    [
        *(b"x", b"9 path=b\0", b"0 path=b\n", b"99 path=b\n", b"9 path-b\n", b"path=b\n", b"-9 path=b\n"),
        *(b"9999999999 path=b\n", b"\xb9 path=b\n", b"9 path=b\n\0", b" 9 path=b\n", b"2 path=b\n"),
    ],
)
def test_a_malformed_extended_header_is_refused(records: bytes) -> None:
    with pytest.raises(InvalidArchive, match="malformed record"):
        read("tar", extended(records) + tar(member()))


def test_the_prefix_of_a_name_is_posix_alone() -> None:
    """GNU tar keeps other times there in what it calls incremental archives."""
    header = bytearray(member().tobuf(tarfile.GNU_FORMAT))
    header[345:356] = b"14715621434"
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]  # type: ignore[attr-defined]  # not in typeshed
    assert read("tar", bytes(header) + bytes(1024)) == [("a", b"")]


@pytest.mark.parametrize("size", [-1, 1 << 80])
def test_a_size_that_no_file_has_is_refused(size: int) -> None:
    header = tarfile.TarInfo("a")
    header.size = size
    with pytest.raises(InvalidArchive):
        read("tar", header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


def test_a_name_that_is_not_utf_8_is_refused() -> None:
    for format_ in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        header = member("caf\udce9").tobuf(format_, "utf-8", "surrogateescape")
        with pytest.raises(InvalidArchive, match="not UTF-8; rename"):
            read("tar", header + bytes(1024))


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\x1f\x8b\x08\x00", "gzip; decompress it first"),
        (b"\x28\xb5\x2f\xfd", "zstd; decompress it first"),
        (b"\xfd7zXZ", "xz; decompress it first"),
        (b"BZh91AY", "bzip2; decompress it first"),
        (b"PK\x03\x04", "zip; say archive=zip"),
    ],
)
def test_another_format_is_recognised_by_its_first_bytes(start: bytes, words: str) -> None:
    with pytest.raises(InvalidArchive, match=words):
        read("tar", start)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (b"", "cut off after 0 bytes"),
        (b"<html>", "cut off after 6 bytes"),
        (b"<html>" * 100, "or is none: the header at byte 0 is not valid"),
        (tar(member())[:512], "cut off after 512"),
        (tar(member())[:1024], "cut off after 1024"),
        (tar(member())[:1024] + tar(member()), "zeros stands where none may be"),
        (tar(member(LONG))[:1024] + bytes(1024), "zeros stands where none may be"),
        (tar(member()) + b"\0\1", "follows the end of the tar archive"),
        (tar(member()) + tar(member()), "follows the end of the tar archive"),
    ],
)
def test_what_is_not_one_whole_archive_is_refused(archive: bytes, words: str) -> None:
    with pytest.raises(InvalidArchive, match=words):
        read("tar", archive)


def test_zeros_may_follow_the_end() -> None:
    assert read("tar", tar() + bytes(100_001)) == []
    assert read("tar", tar(member())[:512] + bytes(1024)) == [("a", b"")]
