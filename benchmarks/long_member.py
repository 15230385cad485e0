"""Archives of one artifact that is too large to be held, written and compared while they pass."""

from __future__ import annotations

import struct
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from benchmarks.content import BLOCK_BYTES, WrongTransfer, pieces, span, verify
from benchmarks.names import ArchiveKind

NAME = "member"
_READ_AT_ONCE = 64 * 1024
_LOCAL = struct.Struct("<26xHH")
"""The header of a zip archive's member, which tells how long name and extra fields behind it are."""
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_END_SIGNATURE, _END_OF_ZIP = b"PK\x05\x06", 22
"""The record at a zip archive's end, and its length where nobody adds a comment."""


class Around(NamedTuple):
    """What an archive has before its one member's bytes, and behind them."""

    head: bytes
    tail: bytes


@cache
def crc(size: int, content: int) -> int:
    """Takes a while, so not to be asked for while somebody waits."""
    found = 0
    for piece in pieces(size, content):
        found = zlib.crc32(piece, found)
    return found


def around(kind: ArchiveKind, size: int, content: int) -> Around:
    """Of an archive whose member is stored as it is, with its size before it."""
    return _around_in_tar(size) if kind == "tar" else _around_in_zip(size, crc(size, content))


def compare(kind: ArchiveKind, size: int, content: int, checksum: int, answer: BinaryIO) -> None:
    """Takes all of the answer. Raises `WrongTransfer` unless it is an archive of just this artifact.

    `checksum` is its `crc`, which only zip archives have.
    """
    try:
        if kind == "tar":
            _compare_tar(answer, size, content)
        else:
            _compare_zip(answer, size, content, checksum)
    except (tarfile.TarError, BadZipFile, zlib.error, struct.error) as error:
        raise WrongTransfer(f"the {kind} archive is damaged: {error}") from error


def require_end_of_zip(archive: bytes) -> None:
    """Raises `WrongTransfer` unless the last bytes are those of the directory, which nobody else asks for."""
    if not archive[-_END_OF_ZIP:].startswith(_END_SIGNATURE):
        raise WrongTransfer("the zip archive has no end, or something behind it")


def _around_in_tar(size: int) -> Around:
    member = tarfile.TarInfo(NAME)
    member.size = size
    head = member.tobuf(tarfile.PAX_FORMAT)
    end = bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
    return Around(head, end + bytes(-(len(head) + size + len(end)) % tarfile.RECORDSIZE))


def _around_in_zip(size: int, checksum: int) -> Around:
    member = ZipInfo(NAME)
    member.file_size = member.compress_size = size
    member.CRC = checksum
    member.header_offset = 0
    head = member.FileHeader()
    with tempfile.TemporaryFile() as file:
        file.truncate(len(head) + size)  # which takes no room
        with ZipFile(file, "a") as opened:
            opened.filelist.append(member)
        file.seek(len(head) + size)
        return Around(head, file.read())


def _compare_tar(answer: BinaryIO, size: int, content: int) -> None:
    with tarfile.open(fileobj=answer, mode="r|", bufsize=BLOCK_BYTES) as opened:
        member = opened.next()
        if member is None or (member.name, member.size) != (NAME, size):
            raise WrongTransfer(f"the tar archive does not begin with {size} bytes of {NAME!r}")
        data: Any = opened.extractfile(member)
        verify(data, size, content)
        assert opened.fileobj is not None
        end = opened.fileobj.read(4 * tarfile.RECORDSIZE)
    padding = -size % tarfile.BLOCKSIZE
    blocks, cut = divmod(len(end) - padding, tarfile.BLOCKSIZE)
    if any(end) or cut or not 2 <= blocks <= 2 * tarfile.RECORDSIZE // tarfile.BLOCKSIZE:
        raise WrongTransfer("behind the tar archive's member is something else than its end")


def _compare_zip(answer: BinaryIO, size: int, content: int, checksum: int) -> None:
    """By the bytes themselves, and by the directory at the end, as Python's own module reads it."""
    head = answer.read(_LOCAL.size)
    name, extra = _LOCAL.unpack(head)
    head += answer.read(name + extra)
    member = _Inflated(answer)
    position = 0
    for piece in member.pieces():
        if position + len(piece) > size or piece != span(content, position, len(piece)):
            raise WrongTransfer(f"other bytes arrived than were sent, after {position} of {size}")
        position += len(piece)
    if position != size:
        raise WrongTransfer(f"the bytes ended at {position} of {size}")
    behind = len(head) + member.packed
    rest = member.rest + answer.read()
    require_end_of_zip(rest)
    with tempfile.TemporaryFile() as file:
        file.write(head)
        file.seek(behind)  # what is between has been compared, and takes no room
        file.write(rest)
        with ZipFile(file) as opened:
            found = [
                (info.filename, info.file_size, info.compress_size, info.CRC, info.header_offset)
                for info in opened.infolist()
            ]
            descriptor = rest[: opened.start_dir - behind]
    if found != [(NAME, size, member.packed, checksum, 0)]:
        raise WrongTransfer(f"the zip archive's directory has {found[:3]}")
    wide = "QQ" if len(descriptor) == struct.calcsize("<4sLQQ") else "LL"
    numbers = struct.unpack(f"<4sL{wide}", descriptor)
    if numbers != (_DESCRIPTOR_SIGNATURE, checksum, member.packed, size):
        raise WrongTransfer(f"behind the zip archive's member is {numbers}")


class _Inflated:
    """A deflated member that arrives."""

    def __init__(self, answer: BinaryIO) -> None:
        self._answer = answer
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self.packed = 0
        """Its bytes in the archive; with `rest`, which was read besides, right at its end."""
        self.rest = b""

    def pieces(self) -> Iterator[bytes]:
        while not self._inflater.eof:
            data = self._answer.read(_READ_AT_ONCE)
            if not data:
                raise WrongTransfer(f"the zip archive ended after {self.packed} bytes of its member")
            self.packed += len(data)
            yield self._inflater.decompress(data)
        self.rest = self._inflater.unused_data
        self.packed -= len(self.rest)
