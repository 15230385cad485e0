"""Reads zip archives from their first byte to their last one, by the header in front of each member."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from typing import TypeAlias

from app.archives import zip_records as records
from app.archives.base import MAX_DATA_BYTES, MemberBegins, MemberData, MemberDirectory, MemberEnds
from app.archives.push import PushReader, Reading, Waiting, format_of, quoted
from app.archives.zip_directory import Seen, read_directory
from app.archives.zip_records import Header
from app.errors import InvalidArchive

INPUT_BYTES = 64 * 1024
"""Given to zlib at once, which copies what it has not used yet for each piece that it gives."""

Unpacking: TypeAlias = Generator[bytes | None, None, None]
"""Yields the bytes of a member, and None whenever more bytes of the archive must arrive."""

_AFTER_MEMBER = (records.LOCAL_SIGNATURE, records.CENTRAL_SIGNATURE)


class ZipReader(PushReader):
    """Keeps the header of one member, what zlib needs, and a sum over all members."""

    FORMAT = "zip"

    def __init__(self) -> None:
        super().__init__()
        self._seen = Seen()

    def _archive(self) -> Reading[None]:
        signature = yield from self._inflow.take(4)
        if signature not in (records.LOCAL_SIGNATURE, records.END_SIGNATURE):
            raise _no_archive(signature)
        while signature == records.LOCAL_SIGNATURE:
            signature = yield from self._member()
        yield from read_directory(self._inflow, signature, self._seen)
        yield from self._nothing_more()

    def _member(self) -> Reading[bytes]:
        """Reads a member whose signature was taken; gives the signature that follows."""
        offset = self._inflow.position - 4
        fields = records.LOCAL.unpack((yield from self._inflow.take(records.LOCAL.size)))
        _, flags, method, _, _, crc, packed, size, name, extra = fields
        raw = yield from self._inflow.take(name)
        extras = records.extra_fields((yield from self._inflow.take(extra)))
        size, packed = records.large((size, packed), extras)
        header = records.header(flags, method, crc, packed, size, raw, extras)
        if method == records.STORED and packed != size:
            raise _wrong(header)
        is_directory = header.name.endswith("/")
        if is_directory:
            yield MemberDirectory(header.name)
        else:
            # Some programs call members so, as tar does.
            yield MemberBegins(header.name.removeprefix("./"), _known_size(header))
        actual = yield from self._content(header, is_directory)
        if flags & records.SIZES_FOLLOW:
            signature = yield from self._descriptor(actual)
        else:
            signature = yield from self._inflow.take(4)
        for told, right in zip(header, actual, strict=True):
            if told != right and not (flags & records.SIZES_FOLLOW and told == 0):
                raise _wrong(header)
        self._seen.add(actual, offset)
        if not is_directory:
            yield MemberEnds()
        return signature

    def _content(self, header: Header, is_directory: bool) -> Reading[Header]:
        """Reads the member's bytes; gives the header that is right for them."""
        start, known = self._inflow.position, _known_size(header)
        crc = size = 0
        unpack = self._inflated if header.method == records.DEFLATED else self._stored
        for data in unpack(header):
            if data is None:
                yield None
                continue
            crc = zlib.crc32(data, crc)
            size += len(data)
            if is_directory or (known is not None and size > known):
                raise _wrong(header)
            yield MemberData(data)
        return header._replace(crc=crc, packed=self._inflow.position - start, size=size)

    def _stored(self, header: Header) -> Unpacking:
        left = header.size
        while left:
            data = yield from self._inflow.some(min(left, MAX_DATA_BYTES))
            left -= len(data)
            yield data

    def _inflated(self, header: Header) -> Unpacking:
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflate.eof:
            rest = yield from self._inflow.some(INPUT_BYTES)
            # At the end, what follows the member is its unused data, and may be its unconsumed tail as well.
            while rest and not inflate.eof:
                try:
                    data = inflate.decompress(rest, MAX_DATA_BYTES)
                except zlib.error:
                    raise _wrong(header) from None
                rest = inflate.unconsumed_tail
                if data:
                    yield data
        self._inflow.give_back(len(inflate.unused_data))

    def _descriptor(self, actual: Header) -> Waiting[bytes]:
        """Reads the CRC-32 and sizes after a member; gives the signature that follows them.

        They have a signature or not, and sizes of 4 or of 8 bytes, and nothing in front of them tells which.
        So what they must be is looked for in each of the forms, up to where the next record begins.
        """
        numbers = (actual.crc, actual.packed, actual.size)
        packings = (records.DESCRIPTOR, records.DESCRIPTOR64)
        fitting = packings if max(numbers) <= records.IN_32 else packings[1:]
        found = b""
        for packing in fitting:
            for signature in (b"", records.DESCRIPTOR_SIGNATURE):
                form = signature + packing.pack(*numbers)
                found += yield from self._inflow.take(len(form) + 4 - len(found))
                if found.startswith(form) and found[-4:] in _AFTER_MEMBER:
                    return found[-4:]
        if actual.method == records.STORED and not actual.size:
            raise InvalidArchive(
                f"The member {quoted(actual.name)} of the zip archive is stored, with its size behind it, so "
                "that its end cannot be told; compress it, or write the archive to a file before it is sent."
            )
        raise _wrong(actual)


def _known_size(header: Header) -> int | None:
    """The size that the header announces. No deflated member is empty in its archive, but a stored one is."""
    unknown = header.flags & records.SIZES_FOLLOW and header.method == records.DEFLATED and not header.packed
    return None if unknown else header.size


def _wrong(header: Header) -> InvalidArchive:
    return InvalidArchive(
        f"The zip archive is damaged: the bytes of {quoted(header.name)} do not fit to their sizes or CRC-32."
    )


def _no_archive(signature: bytes) -> InvalidArchive:
    if signature in (records.DESCRIPTOR_SIGNATURE, b"PK00"):
        return InvalidArchive("This is one of several parts of a zip archive; send one whole archive.")
    what = format_of(signature) or "something else, such as a program that unpacks itself"
    return InvalidArchive(
        f"This does not start like a zip archive, but like {what}; send a plain zip archive."
    )
