"""What is answered of the many files of one body, gathered while they are published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from app.api.records import StoredRecords
from app.errors import ArtifactError
from app.paths import ArtifactPath
from app.storage.base import Published

T_co = TypeVar("T_co", covariant=True)

Files: TypeAlias = Mapping[ArtifactPath, ArtifactError | None]
"""All files of a body, in their order; with the error of one that was refused before any was published."""


class Outcome(Protocol[T_co]):
    """Used by one thread at a time, not always the same."""

    def add(self, published: Published) -> None:
        """Raises the error of one that failed where no more are to be published then."""
        ...

    def whole(self, files: Files) -> T_co:
        """The answer, when all were published that were not refused."""
        ...

    def broken_off(self, files: Files, error: ArtifactError) -> T_co:
        """The answer, when `error` ended the publishing; or raises it, and it says how far that came."""
        ...


class Unpacked(NamedTuple):
    """The outcome of an archive."""

    artifacts: int
    size: int
    """Their bytes."""


class ArchiveOutcome:
    """All are wanted: the first one that fails ends it."""

    def __init__(self, records: StoredRecords) -> None:
        """`records` are told of each one as it is stored."""
        self._records = records
        self._sizes: dict[ArtifactPath, int] = {}
        """Of those that are there, as far as that is known."""
        self._lost: ArtifactError | None = None

    def add(self, published: Published) -> None:
        if published.entry is not None:
            self._records.add("stored", published.path)
            self._sizes[published.path] = published.entry.size or 0
        elif self._sizes.pop(published.path, None) is not None:
            # It is told again. Others may follow that were stored beside it.
            self._records.add("unsafe", published.path)
            self._lost = published.error
            return
        error = published.error or self._lost
        if error is not None:
            raise error

    def whole(self, files: Files) -> Unpacked:
        if self._lost is not None:
            raise self._lost
        return Unpacked(len(self._sizes), sum(self._sizes.values()))

    def broken_off(self, files: Files, error: ArtifactError) -> Unpacked:
        error.add_note(f"At least {len(self._sizes)} of {len(files)} artifacts were stored.")
        raise error


class FormOutcome:
    """Each is for itself: those that fail spare the others."""

    def __init__(self, records: StoredRecords) -> None:
        """`records` are told of each one as it is stored."""
        self._records = records
        self._told: dict[ArtifactPath, Published] = {}

    def add(self, published: Published) -> None:
        if published.entry is not None:
            self._records.add("stored", published.path)
        elif published.path in self._told:
            self._records.add("unsafe", published.path)
        self._told[published.path] = published

    def whole(self, files: Files) -> list[Published]:
        return [self._told[path] if error is None else _failed(path, error) for path, error in files.items()]

    def broken_off(self, files: Files, error: ArtifactError) -> list[Published]:
        return [self._told.get(path) or _failed(path, refused or error) for path, refused in files.items()]


def _failed(path: ArtifactPath, error: ArtifactError) -> Published:
    return Published(path, None, created=False, error=error)
