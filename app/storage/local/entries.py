"""What a file's status says of it as an artifact, and the names of a directory in order."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from operator import attrgetter
from typing import NamedTuple

from app.errors import InvalidPath
from app.paths import RESERVED_PREFIX, ArtifactPath
from app.storage.base import Entry

logger = logging.getLogger(__name__)


def file_entry(path: ArtifactPath, status: os.stat_result) -> Entry:
    return Entry(
        path,
        size=status.st_size,
        modified=datetime.fromtimestamp(status.st_mtime, UTC),
        etag=_etag(status),
    )


def entry_at(parent: int, path: ArtifactPath) -> Entry:
    """The entry called `path.name` in the directory `parent`.

    Raises `FileNotFoundError` also for what is neither a regular file nor a directory.
    """
    status = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, is_dir=True)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(path.name)
    return file_entry(path, status)


def _etag(status: os.stat_result) -> str:
    """Changed by every replacement: that is another inode, or the same one with another time.

    Uploads give their file a time whose last digits are random, so even an inode that is used
    again within one tick of the file system's clock differs. Hashed, so that inode numbers are
    not told to the world.
    """
    identity = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    return blake2b(identity.encode(), digest_size=16).hexdigest()


class Child(NamedTuple):
    path: ArtifactPath
    is_dir: bool
    sort_key: str


def children(descriptor: int, directory: ArtifactPath, *, slash: bool = False) -> list[Child]:
    """The files and directories in `directory`, sorted by name, without links, special files,
    the server's own names, and names that no artifact may have.

    With `slash`, a directory is sorted as if its name ended in a slash, which is the order of the
    paths of what is below it.
    """
    found: list[Child] = []
    foreign: list[str] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            is_dir = entry.is_dir(follow_symlinks=False)
            if not is_dir and not entry.is_file(follow_symlinks=False):
                continue
            try:
                path = directory / entry.name
            except InvalidPath:
                if not entry.name.casefold().startswith(RESERVED_PREFIX):
                    foreign.append(entry.name)
                continue
            found.append(Child(path, is_dir, entry.name + "/" if slash and is_dir else entry.name))
    if foreign:
        logger.warning(
            "Left %d names out of the listing of %a that no artifact may have, such as %a; "
            "rename them to make them visible.",
            len(foreign),
            str(directory),
            foreign[0],
        )
    found.sort(key=attrgetter("sort_key"))
    return found


def present(parent: int, listed: list[Child]) -> Iterator[Entry]:
    """The entries of `listed` that are still there."""
    for child in listed:
        if child.is_dir:
            yield Entry(child.path, is_dir=True)
        else:
            with suppress(FileNotFoundError):
                yield entry_at(parent, child.path)
