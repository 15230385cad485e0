"""What the file system of this machine refuses, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifact_proxy.errors import ArtifactError


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Around what reads a file or folder. Raises `ArtifactError` where that cannot be."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{name!r} cannot be read: {reason(error)}.") from None


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Around what writes there, or looks at what is there. Raises `ArtifactError` where that cannot be."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{str(place)!r} cannot be written: {reason(error)}.") from None


def reason(error: OSError | ValueError) -> str:
    """Without the file, and without a full stop. A `ValueError` is of a name that no file can have."""
    return (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")


def is_folder(place: Path) -> bool:
    """Whether there is one. Raises `ArtifactError` where nobody can know."""
    with writing(place):
        return place.is_dir()
