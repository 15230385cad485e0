"""Whole archives at once, which the code under test never holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, repeat
from typing import NamedTuple

from app.archives.base import MAX_DATA_BYTES
from app.archives.formats import FORMATS, MemberBegins, MemberData, MemberDirectory


class Member(NamedTuple):
    name: str
    content: bytes
    modified: datetime | None = None


def written(format_name: str, members: Iterable[Member], piece: int = 100_000) -> bytes:
    """An archive of the members, whose contents are given in pieces."""
    writer = FORMATS[format_name].writer()
    sent = bytearray()
    for name, content, modified in members:
        sent += writer.begin(name, len(content), modified)
        for part in cut(content, [piece]):
            sent += writer.data(part)
        sent += writer.end()
    for part in writer.finish():
        sent += part
    return bytes(sent)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The data in pieces of these sizes, of the last one until nothing is left."""
    at = 0
    for size in chain(sizes, repeat(sizes[-1])):
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size


def read(format_name: str, archive: bytes, *sizes: int) -> list[tuple[str, bytes]]:
    """Names and contents of the files in an archive that is fed in pieces of these sizes, else whole.

    Holds the reader to what it promises of its events.
    """
    reader = FORMATS[format_name].reader()
    members: list[tuple[str, bytes]] = []
    current: tuple[MemberBegins, bytearray] | None = None
    for event in chain.from_iterable(map(reader.feed, cut(archive, list(sizes) or [len(archive) or 1]))):
        if isinstance(event, MemberBegins):
            assert current is None
            current = event, bytearray()
            continue
        if isinstance(event, MemberDirectory):
            assert current is None
            continue
        assert current is not None
        begun, content = current
        if isinstance(event, MemberData):
            assert 0 < len(event.data) <= MAX_DATA_BYTES
            content += event.data
        else:
            assert begun.size in {None, len(content)}
            members.append((begun.name, bytes(content)))
            current = None
    reader.close()
    assert current is None
    return members


def contents(members: Iterable[Member]) -> list[tuple[str, bytes]]:
    """What `read` gives of the members."""
    return [(member.name, member.content) for member in members]
