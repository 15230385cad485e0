"""What a file's status says of it as an artifact."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TypeAlias

from app.paths import ArtifactPath
from app.storage.entry import Entry

EntryOf: TypeAlias = Callable[[ArtifactPath, os.stat_result], Entry]


def file_entry(path: ArtifactPath, status: os.stat_result) -> Entry:
    return Entry(path, size=status.st_size, modified=_modified(status), etag=_etag(status))


def brief_entry(path: ArtifactPath, status: os.stat_result) -> Entry:
    """Without what takes most of the time of a long listing."""
    return Entry(path, size=status.st_size)


def entry_at(parent: int, path: ArtifactPath, entry_of: EntryOf = file_entry) -> Entry:
    """The entry called `path.name` in the directory `parent`.

    Raises `FileNotFoundError` also for what is neither a regular file nor a directory.
    """
    status = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, is_dir=True)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path.name)
    return entry_of(path, status)


def _modified(status: os.stat_result) -> datetime | None:
    """None for a time beyond the calendar, which others may have given to their file."""
    try:
        return datetime.fromtimestamp(status.st_mtime, UTC)
    except (ValueError, OverflowError):
        return None


def _etag(status: os.stat_result) -> str:
    """Changed by every replacement: that is another inode, or the same one with another time.

    Uploads give their file a time whose last digits are random, so even an inode that is used
    again within one tick of the file system's clock differs. Hashed, so that inode numbers are
    not told to the world.
    """
    identity = b"%d-%d-%d" % (status.st_ino, status.st_size, status.st_mtime_ns)
    return blake2b(identity, digest_size=16).hexdigest()
