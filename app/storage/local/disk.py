"""The disk below the root: uploads leave a reserve of it free, so that they never fill it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import StorageFull
from app.paths import ArtifactPath
from app.storage.base import Room
from app.storage.local.failures import translated
from app.storage.local.tree import Tree

_LOOK_EVERY = 8 * 1024 * 1024
"""Bytes: others may write as well, so the disk is looked at again after so many of ours."""


class Disk:
    def __init__(self, tree: Tree, reserve: int) -> None:
        """`reserve`: bytes that uploads leave free."""
        self._tree = tree
        self._reserve = reserve
        self._lock = threading.Lock()
        self._granted = 0
        """Bytes that may be written before the next look, by all uploads together."""
        self._unwritten = 0
        """Those of them that are being written, which a look may not see yet."""

    def room(self) -> Room | None:
        """None where the file system knows no limit, and says so with zero blocks."""
        with translated(ArtifactPath()), self._tree.directory(()) as root:
            status = os.fstatvfs(root)
        return Room(status.f_bavail * status.f_frsize, self._reserve) if status.f_blocks else None

    def require(self, path: ArtifactPath, size: int) -> None:
        """Raises `StorageFull` unless `size` bytes more leave the reserve free."""
        room = self.room()
        if room is not None and size > room.left:
            what = f"for the {size} bytes of" if size else "left for"
            raise StorageFull(
                f"The storage has no room {what} {str(path)!r}; free some or ask its operator for more."
            )

    def rehearse(self) -> None:
        """Raises `StorageFull` where every upload would be refused."""
        room = self.room()
        if room is not None and room.left < 0:
            raise StorageFull(
                f"The disk has {room.free} bytes left, fewer than uploads leave free: --disk-reserve is "
                f"{room.reserve}; make room, or set it lower."
            )

    @contextmanager
    def writing(self, path: ArtifactPath, size: int) -> Iterator[None]:
        """Around what writes `size` bytes. The like of `require`, but looks at the disk now and then only."""
        if not self._reserve:
            yield  # the disk itself says when it is full
            return
        with self._lock:
            if size > self._granted:
                self._grant(path, size)
            self._granted -= size
            self._unwritten += size
        try:
            yield
        finally:
            with self._lock:
                self._unwritten -= size

    def _grant(self, path: ArtifactPath, size: int) -> None:
        room = self.room()
        enough = _LOOK_EVERY + size
        left = enough if room is None else room.left - self._unwritten
        if size > left:
            raise StorageFull(
                f"The storage has no room left for {str(path)!r}; free some or ask its operator."
            )
        self._granted = min(left, enough)
