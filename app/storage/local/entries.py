"""What a file's status says of it as an artifact."""

from __future__ import annotations

import errno
import os
import stat
from datetime import UTC, datetime
from hashlib import blake2b

from app.paths import ArtifactPath
from app.storage.base import Entry


def file_entry(path: ArtifactPath, status: os.stat_result) -> Entry:
    return Entry(path, size=status.st_size, modified=_modified(status), etag=_etag(status))


def entry_at(parent: int, path: ArtifactPath) -> Entry:
    """The entry called `path.name` in the directory `parent`.

    Raises `FileNotFoundError` also for what is neither a regular file nor a directory.
    """
    status = os.stat(path.name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        return Entry(path, is_dir=True)
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path.name)
    return file_entry(path, status)


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
    identity = f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    return blake2b(identity.encode(), digest_size=16).hexdigest()
