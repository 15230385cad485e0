"""Reads of what the kernel has in memory, which give up rather than wait for a disk.

To hand a read to a thread and take its outcome back takes several times as long as to read a small
file that is in memory. So the event loop may try it by itself, with system calls that only Linux has:
openat2 with RESOLVE_CACHED and preadv2 with RWF_NOWAIT. Whatever they cannot do at once is for a
thread, which also finds out what is wrong, if anything is.

They wait for no bytes, but may begin to read ahead, which can take milliseconds on a very busy disk; and
a scanner that judges each file that is opened is waited for.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Callable, Sequence

from app.storage.base import Chunk
from app.storage.local.tree import Tree, close_unwritten

# Numbers are those of Linux: <linux/openat2.h> and <linux/magic.h>. Where openat2 has another one, it fails.
_OPENAT2 = 437
_AT_FDCWD = -100
_CACHED = 0x20
_INSIDE = 0x01 | 0x04 | 0x08  # crossing no mount, following no link, and staying beneath
_IN_MEMORY = {0x01021994, 0x858458F6}  # tmpfs, ramfs
_ON_DISK = {0xEF53, 0x58465342, 0x9123683E}  # ext2 to ext4, XFS, Btrfs
"""Those that know RWF_NOWAIT, and ask nobody else when a file is opened, as network file systems do."""

# O_NONBLOCK: a FIFO that takes the place of a file at the last moment must not hang whoever opens it.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


Reader = Callable[[int, int, int], Chunk]
"""Reads from a descriptor, at most so many bytes, from a position. Raises `OSError`."""


class CachedFiles:
    """Those below a root that are in memory."""

    def __init__(self, tree: Tree, read: Reader) -> None:
        self._read = read
        self._tree = tree
        self._root = os.fsencode(tree.root)
        self._syscall = ctypes.CDLL(None).syscall

    @classmethod
    def below(cls, tree: Tree) -> CachedFiles | None:
        """None where this system or the root's file system cannot say what is in memory."""
        if sys.platform != "linux":
            return None
        status = (ctypes.c_long * 64)()  # its first member is the type, the others are of no interest
        if ctypes.CDLL(None).statfs(os.fsencode(tree.root), status):
            return None
        kind = status[0] & 0xFFFFFFFF
        if kind in _IN_MEMORY:
            return cls(tree, os.pread)
        # Python lacks the flag where it was built for an old C library.
        return cls(tree, _read_cached) if kind in _ON_DISK and hasattr(os, "RWF_NOWAIT") else None

    def reader_of(self, status: os.stat_result) -> Reader | None:
        """For a file below the root; None where it lies on another file system, mounted there."""
        return self._read if status.st_dev == self._tree.device else None

    def open(self, segments: Sequence[str]) -> int | None:
        """A descriptor of the regular file there; None where that takes waiting, or is not possible."""
        root = self._open(_AT_FDCWD, self._root, os.O_PATH | os.O_DIRECTORY, 0)
        if root is None:
            return None
        try:
            if not self._tree.is_root(os.fstat(root)):
                return None
            name = os.fsencode("/".join(segments))
            # A look first: to open a device may do something to it.
            looked = self._open(root, name, os.O_PATH | os.O_NOFOLLOW, _INSIDE)
            if looked is None:
                return None
            regular = stat.S_ISREG(os.fstat(looked).st_mode)
            close_unwritten(looked)
            return self._open(root, name, READ_FLAGS, _INSIDE) if regular else None
        finally:
            close_unwritten(root)

    def _open(self, parent: int, name: bytes, flags: int, resolve: int) -> int | None:
        how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve | _CACHED)
        descriptor: int = self._syscall(_OPENAT2, parent, name, ctypes.byref(how), ctypes.sizeof(how))
        return None if descriptor < 0 else descriptor


def _read_cached(descriptor: int, size: int, position: int) -> Chunk:
    chunk = bytearray(size)
    count = os.preadv(descriptor, [chunk], position, os.RWF_NOWAIT)
    if count < size:
        del chunk[count:]
    return chunk
