"""What is written is unpacked by the programs that people have, byte for byte, with names and times."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from app.archives.formats import FORMATS
from tests.archives.archiving import Member, written

SUMMER = datetime(2023, 7, 14, 12, 30, 45, 999_999, tzinfo=UTC)
MEMBERS = [
    Member("text.txt", b"hello\n" * 50_000, SUMMER),
    Member("empty", b"", SUMMER),
    Member("models/é ü/日本.bin", bytes(range(256)) * 1024, datetime(1999, 1, 31, 23, 59, 59, tzinfo=UTC)),
    Member("/".join(["d" * 120] * 3) + "/long", b"\0" * 65_535, SUMMER),
    Member("-rf *", b"PK\x03\x04 in a member, PK\x07\x08 as well", None),
    Member("before-1970" * 9, b"\xff", datetime(1969, 12, 31, 23, 59, 50, tzinfo=UTC)),
]
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "America/New_York"}


def unpacked(archive: bytes, folder: Path, *command: str) -> dict[str, tuple[bytes, int]]:
    """Contents and times of the files that a program makes in a folder of its own out of the archive."""
    folder.mkdir()
    (folder.parent / "archive").write_bytes(archive)
    subprocess.run([*command, "../archive"], cwd=folder, check=True, env=ENVIRONMENT, stdout=subprocess.PIPE)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    return {
        str(path.relative_to(folder)): (path.read_bytes(), int(path.stat().st_mtime // 1)) for path in files
    }


@pytest.mark.parametrize(
    ("name", "program", "arguments", "untold"),
    [
        # Without a time, a tar says 1970, and a zip 1980 in whatever zone.
        ("tar", "tar", ["-xf"], datetime(1970, 1, 1, tzinfo=UTC)),
        ("tar", "busybox", ["tar", "-xf"], datetime(1970, 1, 1, tzinfo=UTC)),
        ("zip", "unzip", ["-q"], datetime(1980, 1, 1, 5, tzinfo=UTC)),
    ],
)
def test_programs_unpack_names_bytes_modes_and_times(
    name: str,
    program: str,
    arguments: list[str],
    untold: datetime,
    tmp_path: Path,
    need: Callable[[str], str],
) -> None:
    # Only GNU tar believes in times before 1970.
    members = MEMBERS if program == "tar" else MEMBERS[:-1]
    found = unpacked(written(name, members), tmp_path / "out", need(program), *arguments)
    assert found == {
        member.name: (member.content, int((member.modified or untold).timestamp() // 1)) for member in members
    }


def test_unzip_finds_nothing_wrong(tmp_path: Path, need: Callable[[str], str]) -> None:
    (tmp_path / "all.zip").write_bytes(written("zip", MEMBERS))
    tested = subprocess.run([need("unzip"), "-t", tmp_path / "all.zip"], check=False, capture_output=True)
    assert tested.returncode == 0
    assert b"No errors detected" in tested.stdout


def test_a_zip_is_unpacked_while_it_arrives(need: Callable[[str], str]) -> None:
    unpacked = subprocess.run(
        [need("funzip")], input=written("zip", MEMBERS[:1]), check=True, capture_output=True
    )
    assert unpacked.stdout == MEMBERS[0].content


def test_members_of_a_zip_are_marked_as_deflated_which_readers_of_streams_need() -> None:
    with ZipFile(BytesIO(written("zip", MEMBERS))) as opened:
        assert {info.compress_type for info in opened.infolist()} == {ZIP_DEFLATED}


@pytest.mark.parametrize("name", list(FORMATS))
def test_the_same_members_make_the_same_archive(name: str) -> None:
    assert written(name, MEMBERS) == written(name, MEMBERS, piece=999)


def test_an_archive_costs_little_more_than_its_members() -> None:
    member = Member("model.bin", bytes(1_000_000))
    assert len(written("zip", [member])) < 1_000_000 + 300
    assert len(written("tar", [member])) < 1_000_000 + 12_000
    assert len(written("tar", [])) == 10_240
    assert len(written("zip", [])) == 22
