"""How a reader gets its bytes: the format is followed in plain order, and waits wherever bytes lack."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from typing import TypeAlias, TypeVar

from app.archives.base import MAX_DATA_BYTES, Event
from app.errors import InvalidArchive

Result = TypeVar("Result")
Waiting: TypeAlias = Generator[None, None, Result]
"""Yields whenever more bytes must arrive."""
Reading: TypeAlias = Generator[Event | None, None, Result]
"""Yields events as well, and None whenever more bytes must arrive."""

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zX": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
MAGIC_BYTES = 4


def format_of(start: bytes) -> str | None:
    """What a file is that starts so, if that is known."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)


def quoted(name: str) -> str:
    """A member's name as messages show it."""
    return ascii(name if len(name) <= 120 else f"{name[:120]}…")


class Inflow:
    """The bytes of an archive, taken in the sizes that its format has."""

    def __init__(self) -> None:
        self._data = b""
        self._at = 0
        self.position = 0
        """How many bytes of the archive were taken."""

    def add(self, data: bytes) -> None:
        if self._at < len(self._data):
            raise RuntimeError("the events of the last feed() were not all taken")
        self._data = data
        self._at = 0

    def take(self, size: int) -> Waiting[bytes]:
        """The next `size` bytes, which memory must hold."""
        piece = self._next(size)
        if len(piece) < size:
            gathered = bytearray(piece)
            while len(gathered) < size:
                yield
                gathered += self._next(size - len(gathered))
            piece = bytes(gathered)
        return piece

    def some(self, most: int) -> Waiting[bytes]:
        """At least one of the next bytes, as many of `most` as are there."""
        while not (piece := self._next(most)):
            yield
        return piece

    def skip(self, size: int) -> Waiting[None]:
        while size:
            size -= len((yield from self.some(size)))

    def give_back(self, count: int) -> None:
        """Takes back the end of what the last `some` gave."""
        self._at -= count
        self.position -= count

    def _next(self, most: int) -> bytes:
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        self.position += len(piece)
        return piece


class PushReader(ABC):
    """An `ArchiveReader` by a format that is written down as one generator."""

    FORMAT: str

    def __init__(self) -> None:
        self._inflow = Inflow()
        self._complete = False
        self._steps = self._archive()

    def feed(self, data: bytes) -> Iterator[Event]:
        self._inflow.add(data)
        for event in self._steps:
            if event is None:
                return
            yield event

    def close(self) -> None:
        if not self._complete:
            raise InvalidArchive(
                f"The {self.FORMAT} archive was refused or is cut off after {self._inflow.position} bytes; "
                "send it whole."
            )

    @abstractmethod
    def _archive(self) -> Reading[None]:
        """Follows the archive from its first byte to its last one, and then `_nothing_more`."""

    def _nothing_more(self, padding: bytes = b"") -> Waiting[None]:
        """The archive is complete unless something else than `padding` follows."""
        self._complete = True
        while not (yield from self._inflow.some(MAX_DATA_BYTES)).strip(padding):
            pass
        self._complete = False
        raise InvalidArchive(
            f"Something follows the end of the {self.FORMAT} archive, before byte {self._inflow.position}; "
            "send one archive and nothing else."
        )
