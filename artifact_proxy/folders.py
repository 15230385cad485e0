"""Folders of this machine: what of them is uploaded, and where in them a download may go.

Paths that a server gives are not trusted: nothing is written outside of the folder that was named.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from artifact_proxy.errors import ArtifactError
from artifact_proxy.local import reading, writing
from artifact_proxy.paths import joined, require_unicode

logger = logging.getLogger(__name__)

Failed: TypeAlias = Callable[[ArtifactError], None]
"""Told of what stands in the way of some, but not of the others."""


def _raised(error: ArtifactError) -> None:
    raise error


def files_of(folder: Path, path: str, failed: Failed = _raised) -> Iterator[tuple[Path, str]]:
    """Each file below the folder, with its artifact below `path`; sorted by name.

    Links and special files are left out, with a warning. `failed` is told of folders that cannot be read.
    """
    try:
        with reading(str(folder)), os.scandir(folder) as found:
            entries = [(entry, _kind(entry)) for entry in sorted(found, key=lambda entry: entry.name)]
    except ArtifactError as error:
        failed(error)
        return
    for entry, kind in entries:
        place = Path(entry.path)
        if kind == "a folder":
            yield from files_of(place, joined(path, entry.name), failed)
        elif kind == "a file":
            yield place, joined(path, entry.name)
        else:
            logger.warning("%r is left out, as it is %s.", str(place), kind)


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_dir(follow_symlinks=False):
        return "a folder"
    if entry.is_file(follow_symlinks=False):
        return "a file"
    return "a link" if entry.is_symlink() else "no regular file"


def relative(path: str, directory: str) -> str:
    """The path of a listed artifact below the listed directory. Raises `ArtifactError` if it is not there."""
    below = path.removeprefix(f"{directory}/") if directory else path
    if directory and below == path:
        raise ArtifactError(f"The server lists {path!r} in {directory!r}, where it cannot be.")
    return below


class Folder:
    """A folder that downloads go to."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._made: set[Path] = set()

    def target(self, below: str) -> Path:
        """The file for what is at the relative path `below`; its folders are made.

        Raises `ArtifactError` for a path that leads out of the folder, by whatever is in it already, too.
        """
        segments = below.split("/")
        for segment in segments:
            if segment in {"", ".", ".."} or "\0" in segment or os.sep in segment:
                raise ArtifactError(f"{below!r} is not written: it may lead out of {str(self._place)!r}.")
        require_unicode(below)
        directory = self._place
        self._make(directory)
        for segment in segments[:-1]:
            directory /= segment
            self._judge(directory)
            self._make(directory)
        target = directory / segments[-1]
        self._judge(target)
        return target

    def _judge(self, place: Path) -> None:
        with writing(place):
            is_link = place not in self._made and place.is_symlink()
        if is_link:
            raise ArtifactError(f"{str(place)!r} is a link, by which nothing is written; remove it.")

    def _make(self, directory: Path) -> None:
        if directory in self._made:
            return
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
        self._made.add(directory)
