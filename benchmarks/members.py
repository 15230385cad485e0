"""A folder of many small artifacts, and archives of it as Python's own modules write and read them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from benchmarks.content import WrongTransfer, span
from benchmarks.long_member import require_end_of_zip
from benchmarks.names import ArchiveKind

MEMBER_BYTES = 100
_IN_A_DIRECTORY = 1000
_END_OF_TAR = bytes(2 * tarfile.BLOCKSIZE)


def names_of(count: int) -> list[str]:
    """In directories of a thousand."""
    return [f"{number // _IN_A_DIRECTORY:03}/{number % _IN_A_DIRECTORY:03}" for number in range(count)]


def content_of(number: int) -> bytes:
    """Of the artifact whose name has that place in `names_of`: each has another one."""
    return span(0, number * MEMBER_BYTES, MEMBER_BYTES)


def fill(directory: Path, count: int) -> None:
    """Keeps them below the directory, which is made."""
    for number, name in enumerate(names_of(count)):
        file = directory / name
        if number % _IN_A_DIRECTORY == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content_of(number))


def archived(kind: ArchiveKind, count: int) -> bytes:
    made = io.BytesIO()
    members = [(name, content_of(number)) for number, name in enumerate(names_of(count))]
    if kind == "tar":
        with tarfile.open(fileobj=made, mode="w") as tar:
            for name, data in members:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        with ZipFile(made, "w") as zipped:
            for name, data in members:
                zipped.writestr(name, data)
    return made.getvalue()


def compare_archive(kind: ArchiveKind, archive: bytes, count: int) -> None:
    """Raises `WrongTransfer` unless it has just these artifacts."""
    try:
        _compare(_of_tar(archive) if kind == "tar" else _of_zip(archive), count)
    except (tarfile.TarError, BadZipFile) as error:
        raise WrongTransfer(f"the {kind} archive is damaged: {error}") from error


def compare_folder(directory: Path, count: int) -> None:
    """Likewise, for what is kept."""
    _compare(_of_folder(directory), count)


def _compare(found: Iterator[tuple[str, bytes]], count: int) -> None:
    missing = {name: number for number, name in enumerate(names_of(count))}
    for name, data in found:
        number = missing.pop(name, None)
        if number is None:
            raise WrongTransfer(f"there is {name!r}, which was not sent, or is there twice")
        if data != content_of(number):
            raise WrongTransfer(f"other bytes arrived than were sent, of {name!r}")
    if missing:
        raise WrongTransfer(f"{len(missing)} of {count} artifacts are missing, {min(missing)!r} among them")


def _of_tar(archive: bytes) -> Iterator[tuple[str, bytes]]:
    if not archive.endswith(_END_OF_TAR):  # which Python's module does not ask for
        raise WrongTransfer("the tar archive has no end")
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as opened:
        for member in opened:
            file = opened.extractfile(member)
            yield member.name, b"" if file is None else file.read()


def _of_zip(archive: bytes) -> Iterator[tuple[str, bytes]]:
    require_end_of_zip(archive)
    with ZipFile(io.BytesIO(archive)) as opened:
        for member in opened.infolist():
            yield member.filename, opened.read(member)


def _of_folder(directory: Path) -> Iterator[tuple[str, bytes]]:
    for place, _, files in os.walk(directory):
        for file in files:
            path = Path(place, file)
            yield str(path.relative_to(directory)), path.read_bytes()
