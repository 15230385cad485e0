"""Where the workers of a server count together: a directory in memory that goes with the server."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

_MEMORY = Path("/dev/shm")  # noqa: S108 - directories in it are made as `tempfile` makes them
_PREFIX = "artifact-proxy-workers-"
_OWNER = "owner"
"""A file that is locked as long as the directory is somebody's. What has none was not made here."""
_YOUNG_SECONDS = 60
"""In which a directory may have the file and not yet its lock."""
_ROOM = 16 * 1024**2
"""Counts are files in memory: a worker that finds no room for one dies of it."""


class SharedDirectory:
    def __init__(self) -> None:
        """Makes it, and removes those of servers that were killed. Raises `OSError`."""
        parent = _parent()
        for left in parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):  # somebody else's, or just being removed
                _remove_orphan(left)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self._lock = _locked(self.path, os.O_CREAT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)  # a worker that dies late may still write
        os.close(self._lock)


def _parent() -> Path:
    """One that containers have whose own file system is read-only, or else that of temporary files."""
    if os.access(_MEMORY, os.W_OK) and _free(_MEMORY) >= _ROOM:
        return _MEMORY
    return Path(tempfile.gettempdir())


def _free(directory: Path) -> int:
    """In bytes."""
    system = os.statvfs(directory)
    return system.f_bavail * system.f_frsize


def _locked(directory: Path, flags: int = 0) -> int:
    """The descriptor of the directory's lock. Raises `BlockingIOError` if somebody has it."""
    descriptor = os.open(directory / _OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_orphan(directory: Path) -> None:
    status = directory.lstat()
    if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _YOUNG_SECONDS:
        return
    lock = _locked(directory)
    try:
        shutil.rmtree(directory)
    finally:
        os.close(lock)
