"""Has a file written to the disk while it still grows, so that little is left to wait for when it is synced.

By itself the kernel keeps what is written in memory for half a minute, or until there is much of it. An
upload that ends before that waits for its whole size then, when no more of it can come in meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os

_STEP_BYTES = 8 * 1024 * 1024
_WRITE = 2  # SYNC_FILE_RANGE_WRITE of <linux/fs.h>: begin, and wait for nothing
_LOST = {errno.EIO, errno.ENOSPC, errno.EDQUOT}
_sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)


class Writeback:
    """That of one file, which is written from its start to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0
        self._begun = 0

    def wrote(self, size: int) -> None:
        """Raises `OSError` where bytes are lost. That this cannot be done here is no matter."""
        self._written += size
        due = self._written - self._begun
        if due >= _STEP_BYTES and _sync_file_range is not None:
            start, length = ctypes.c_int64(self._begun), ctypes.c_int64(due)
            if _sync_file_range(self._descriptor, start, length, _WRITE) and ctypes.get_errno() in _LOST:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            self._begun = self._written
