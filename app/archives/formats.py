"""The archive formats that are spoken."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from app.archives.base import (
    ArchiveReader,
    ArchiveWriter,
    Event,
    MemberBegins,
    MemberData,
    MemberDirectory,
    MemberEnds,
)
from app.archives.tar_reader import TarReader
from app.archives.tar_writer import TarWriter
from app.archives.zip_reader import ZipReader
from app.archives.zip_writer import ZipWriter

__all__ = [
    "FORMATS",
    "ArchiveFormat",
    "ArchiveReader",
    "ArchiveWriter",
    "Event",
    "MemberBegins",
    "MemberData",
    "MemberDirectory",
    "MemberEnds",
]


class ArchiveFormat(NamedTuple):
    name: str
    """As in a query, and as the end of a file's name."""
    media_type: str
    writer: type[ArchiveWriter]
    reader: type[ArchiveReader]


FORMATS: Mapping[str, ArchiveFormat] = MappingProxyType(
    {
        "tar": ArchiveFormat("tar", "application/x-tar", TarWriter, TarReader),
        "zip": ArchiveFormat("zip", "application/zip", ZipWriter, ZipReader),
    }
)
