"""What all archive formats have in common: how they are written and read piece by piece.

Nothing here does input or output: a writer gives the bytes that are to be sent, and a reader is given
the bytes that arrived, in whatever pieces they come.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

Chunk: TypeAlias = bytes | bytearray

MAX_DATA_BYTES = 512 * 1024
"""What one `MemberData` holds at most."""
READER_BYTES = 2 * 1024 * 1024
"""What a reader holds at most besides what it was fed, with the event that it gives."""


class ArchiveWriter(Protocol):
    """Makes one archive: for each member `begin`, `data` as often as needed, `end`; then `finish`."""

    @property
    def held(self) -> int:
        """Bytes of memory that the writer keeps of the members that it has written."""
        ...

    def begin(self, name: str, size: int, modified: datetime | None) -> bytes:
        """What goes before the bytes of a member. Its name is relative, with "/" between its segments."""
        ...

    def data(self, chunk: Chunk) -> Chunk:
        """What to send for some of the member's bytes: they themselves, or a copy with a little added.

        Raises `ValueError` if they are more than announced.
        """
        ...

    def end(self) -> bytes:
        """What goes after the bytes of a member. Raises `ValueError` if they were fewer than announced."""
        ...

    def finish(self) -> Iterator[bytes]:
        """The end of the archive, in pieces of bounded size."""
        ...


class MemberDirectory(NamedTuple):
    """A directory in the archive, which comes by itself with the files in it."""

    name: str
    """As that of a file, to be judged before anything in the archive is used."""


class MemberBegins(NamedTuple):
    """A file in the archive. What is neither that nor a directory is refused."""

    name: str
    """As the archive has it, whatever that is: to be judged before it is used."""
    size: int | None
    """Bytes; None where the archive tells it afterwards only."""


class MemberData(NamedTuple):
    data: bytes
    """The next bytes of the file, at least one and at most `MAX_DATA_BYTES`."""


class MemberEnds(NamedTuple):
    """The file has all its bytes, and they are those that the archive promised, as far as it does."""


Event: TypeAlias = MemberDirectory | MemberBegins | MemberData | MemberEnds


class ArchiveReader(Protocol):
    """Takes one archive apart. After an `InvalidArchive`, from whichever method, it is of no use any more.

    Whatever the archive holds, memory is bounded (`READER_BYTES`), and time is proportional to what goes in
    and comes out. No member is to be trusted before `close` has returned: an archive can be wrong at its end.
    """

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the next bytes of the archive bring. All of it is to be taken before the next `feed`.

        Raises `InvalidArchive` for what is malformed or not supported.
        """
        ...

    def close(self) -> None:
        """Raises `InvalidArchive` unless the archive was complete."""
        ...


class Remaining:
    """Watches that a member gets as many bytes as its header announced."""

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self.bytes = size
        """How many are still to come."""

    def take(self, count: int) -> None:
        if count > self.bytes:
            raise ValueError(f"{self._name!a} has more than the {self._size} bytes that were announced")
        self.bytes -= count

    def end(self) -> None:
        if self.bytes:
            raise ValueError(
                f"{self._name!a} has {self._size - self.bytes} bytes; {self._size} were announced"
            )
