"""Reads tar archives: ustar, those of GNU tar, and pax (POSIX.1-2001)."""

from __future__ import annotations

import tarfile
from tarfile import BLOCKSIZE
from typing import NamedTuple

from app.archives.base import MAX_DATA_BYTES, MemberBegins, MemberData, MemberDirectory, MemberEnds
from app.archives.push import MAGIC_BYTES, PushReader, Reading, Waiting, format_of, quoted
from app.errors import InvalidArchive

MAX_EXTENSION_BYTES = 64 * 1024
"""For the extended header of one member; those that programs write have a few hundred bytes."""

_END = bytes(BLOCKSIZE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG_LINK = tarfile.GNUTYPE_LONGLINK
_LONG_NAME = tarfile.GNUTYPE_LONGNAME
_EXTENSIONS = (*_PAX, tarfile.XGLTYPE, _LONG_NAME, _LONG_LINK)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_REFUSED = {
    tarfile.LNKTYPE: "a hard link; archive what it leads to (tar --hard-dereference)",
    tarfile.SYMTYPE: "a symbolic link; archive what it leads to (tar --dereference)",
    tarfile.CHRTYPE: "a device; leave it out",
    tarfile.BLKTYPE: "a device; leave it out",
    tarfile.FIFOTYPE: "a FIFO; leave it out",
    tarfile.GNUTYPE_SPARSE: "a sparse file; archive it without --sparse",
}
_UTF_8 = (b"", b"ISO-IR 10646 2000 UTF-8")


class _Extension(NamedTuple):
    """What extended headers say of the member that follows them; None where they say nothing."""

    name: str | None = None
    size: int | None = None


class TarReader(PushReader):
    """Keeps one extended header, and nothing of the members that it has read."""

    FORMAT = "tar"

    def _archive(self) -> Reading[None]:
        start = yield from self._inflow.take(MAGIC_BYTES)
        if other := format_of(start):
            raise InvalidArchive(f"This is no tar archive but {other}; {_remedy(other)}.")
        block = start + (yield from self._inflow.take(BLOCKSIZE - len(start)))
        extension = _Extension()
        while block != _END:
            extension = yield from self._member(block, extension)
            block = yield from self._inflow.take(BLOCKSIZE)
        if extension != _Extension() or (yield from self._inflow.take(BLOCKSIZE)) != _END:
            raise InvalidArchive("The tar archive is damaged: a block of zeros stands where none may be.")
        yield from self._nothing_more(b"\0")

    def _member(self, block: bytes, extension: _Extension) -> Reading[_Extension]:
        """Reads the member or extended header that starts with `block`; gives what holds for the next one."""
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            start = self._inflow.position - BLOCKSIZE
            raise InvalidArchive(
                f"The tar archive is damaged, or is none: the header at byte {start} is not valid ({error})."
            ) from None
        if header.type in _EXTENSIONS:
            return (yield from self._extension(header, extension))
        name = _own_name(block) if extension.name is None else extension.name
        size = header.size if extension.size is None else extension.size
        if size < 0:
            raise InvalidArchive(f"The tar archive is damaged: {quoted(name)} has {size} bytes.")
        if header.isdir():
            if size:
                # Some programs take the bytes for those of a file, others for the next header.
                raise InvalidArchive(
                    f"The directory {quoted(name)} of the tar archive has {size} bytes; make a new archive."
                )
            yield MemberDirectory(name)
        elif header.type in _FILES:
            # So members are called in archives of ".".
            yield MemberBegins(name.removeprefix("./"), size)
            left = size
            while left:
                data = yield from self._inflow.some(min(left, MAX_DATA_BYTES))
                left -= len(data)
                yield MemberData(data)
            yield from self._inflow.skip(-size % BLOCKSIZE)
            yield MemberEnds()
        else:
            what = _REFUSED.get(
                header.type,
                f"of the type {header.type.decode('latin-1')!a}, which is not taken; leave it out",
            )
            raise InvalidArchive(f"The member {quoted(name)} of the tar archive is {what}.")
        return _Extension()

    def _extension(self, header: tarfile.TarInfo, known: _Extension) -> Waiting[_Extension]:
        size = header.size
        if not 0 <= size <= MAX_EXTENSION_BYTES:
            raise InvalidArchive(
                f"An extended header of the tar archive has {size} bytes, "
                f"and at most {MAX_EXTENSION_BYTES} are taken."
            )
        content = yield from self._inflow.take(size)
        yield from self._inflow.skip(-size % BLOCKSIZE)
        if header.type == _LONG_NAME:
            return known._replace(name=_text(content.partition(b"\0")[0]))
        if header.type == _LONG_LINK:
            return known
        found = _pax(content)
        if header.type in _PAX:
            return _Extension(
                known.name if found.name is None else found.name,
                known.size if found.size is None else found.size,
            )
        if found != _Extension():
            raise InvalidArchive("A global header of the tar archive has a path or size for all its members.")
        return known


def _own_name(block: bytes) -> str:
    """The name in a header itself. Only POSIX's has the first part of a long one in a field of its own."""
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    return _text(name)


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise InvalidArchive(
            f"The name {name[:120]!a} in the tar archive is not UTF-8; rename the file."
        ) from None


def _pax(content: bytes) -> _Extension:
    """What the records "<length> <keyword>=<value>\\n" say, of which the last one of a keyword holds."""
    found = _Extension()
    at = 0
    while at < len(content):
        length, space, _ = content[at : at + 8].partition(b" ")
        end = at + int(length) if space and length.isdigit() else 0
        keyword, equals, value = content[at + len(length) + 1 : end - 1].partition(b"=")
        if not at < end <= len(content) or content[end - 1 : end] != b"\n" or not equals:
            raise InvalidArchive("The tar archive is damaged: an extended header has a malformed record.")
        at = end
        if keyword == b"path" and value:
            found = found._replace(name=_text(value))
        elif keyword == b"size" and value:
            if not value.isdigit() or len(value) > 19:
                raise InvalidArchive(
                    f"The tar archive is damaged: an extended header has the size {value[:40]!r}."
                )
            found = found._replace(size=int(value))
        elif keyword.startswith(b"GNU.sparse."):
            raise InvalidArchive("The tar archive has a sparse file; archive it without --sparse.")
        elif keyword == b"hdrcharset" and value not in _UTF_8:
            raise InvalidArchive("The tar archive has names that are not UTF-8; rename the files.")
    return found


def _remedy(other: str) -> str:
    return "say archive=zip" if other == "zip" else "decompress it first, and send the plain tar"
