"""The folder in staging in which the files of one batch gather. One lock tells that all of them live.

A lock for each file would take a descriptor for each. The lock is a file in the folder: whoever sweeps
takes it as the batch does, before anything is removed, and it is the last file that goes.
"""

from __future__ import annotations

import math
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import NamedTuple

from app.storage.local.locks import locked_at_once
from app.storage.local.tree import DIRECTORY_FLAGS, close_unwritten

FOLDER = "batch-"
"""What the name of each begins with."""
_LOCK = "lock"
_LOCK_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = _LOCK_FILE | os.O_TRUNC


class _Held(NamedTuple):
    """A folder that is open, and that nobody else may touch."""

    name: str
    folder: int
    lock: int

    def clear(self, end: float = math.inf) -> int:
        """Removes all that is in it; says how many files that were.

        Raises `TimeoutError` where it is not done by `end` of the monotonic clock.
        """
        files = [name for name in os.listdir(self.folder) if name != _LOCK]
        for number, name in enumerate(files):
            if time.monotonic() > end:
                raise TimeoutError(f"there is no time to remove {len(files) - number} more files")
            os.unlink(name, dir_fd=self.folder)
        os.unlink(_LOCK, dir_fd=self.folder)
        return len(files)

    def let_go(self) -> None:
        close_unwritten(self.lock)
        close_unwritten(self.folder)


class Folder:
    """That of one batch, as long as it lives."""

    def __init__(self, staging: Callable[[], AbstractContextManager[int]]) -> None:
        """`staging` opens the directory in which it is made."""
        self._staging = staging
        self._kept = 0
        with staging() as descriptor:
            self._held: _Held | None = _make(descriptor)

    @contextmanager
    def staging(self) -> Iterator[int]:
        """Its descriptor, for the block. Raises `ValueError` where the folder was removed."""
        if self._held is None:
            raise ValueError("The batch is over; begin another one.")
        yield self._held.folder

    def new_file(self) -> tuple[int, str]:
        """Creates a file in it; gives its descriptor, to be closed, and its name: the number of those kept.

        One that was to be removed and could not be makes way for it.
        """
        name = str(self._kept)
        with self.staging() as folder:
            return os.open(name, _NEW_FILE, 0o666, dir_fd=folder), name

    def keep_file(self) -> None:
        """The newest file is kept: the next one gets another name."""
        self._kept += 1

    def remove_file(self, name: str) -> None:
        with self.staging() as folder, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def remove(self, end: float) -> None:
        """With all that is in it, if that can be done by `end` of the monotonic clock.

        What cannot be removed is let go of all the same, and swept later.
        """
        held, self._held = self._held, None
        if held is None:
            return
        try:
            held.clear(end)
        finally:
            held.let_go()  # before the folder goes: NFS keeps what is open, and with it the folder
        with self._staging() as staging:
            _remove_empty(staging, held.name)


def sweep_folder(staging: int, name: str) -> int:
    """Removes the folder unless its batch lives; says how many files were in it."""
    held = _hold(staging, name)
    if held is None:
        return 0
    try:
        return held.clear()
    finally:
        held.let_go()
        _remove_empty(staging, name)


def _make(staging: int) -> _Held:
    while True:
        name = FOLDER + secrets.token_hex(16)
        os.mkdir(name, dir_fd=staging)
        try:
            held = _hold(staging, name)
        except BaseException:
            with suppress(OSError):
                os.unlink(f"{name}/{_LOCK}", dir_fd=staging)
            _remove_empty(staging, name)
            raise
        if held is not None:
            return held  # else somebody took it for a leftover before it was locked


def _hold(staging: int, name: str) -> _Held | None:
    """None where somebody else holds it, or has removed it."""
    with ExitStack() as stack, suppress(FileNotFoundError):
        folder = os.open(name, DIRECTORY_FLAGS, dir_fd=staging)
        stack.callback(close_unwritten, folder)
        lock = os.open(_LOCK, _LOCK_FILE, 0o666, dir_fd=folder)
        stack.callback(close_unwritten, lock)
        if locked_at_once(lock) and os.fstat(lock).st_nlink:
            stack.pop_all()
            return _Held(name, folder, lock)
    return None


def _remove_empty(staging: int, name: str) -> None:
    with suppress(OSError):  # somebody else who sweeps is at it as well, and removes it
        os.rmdir(name, dir_fd=staging)
