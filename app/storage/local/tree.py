"""The directory tree below the root, reached segment by segment without following any link.

Each step opens one name relative to the descriptor of its parent (`openat` with O_NOFOLLOW), so a
link that is swapped in at any moment can lead nowhere, inside the root or outside.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from app.errors import StorageUnavailable

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Tree:
    """The root directory, known by its identity since the start.

    It is opened anew for every operation and compared: an operator who unmounts or removes it
    must get an error, not a server that goes on in the bare mount point.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        status = os.stat(root)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        self._identity = (status.st_dev, status.st_ino)

    def _open_root(self) -> int:
        try:
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._lost() from error
        if not self.is_root(os.fstat(descriptor)):
            os.close(descriptor)
            raise self._lost()
        return descriptor

    @property
    def device(self) -> int:
        """The file system that the root is on."""
        return self._identity[0]

    def is_root(self, status: os.stat_result) -> bool:
        return (status.st_dev, status.st_ino) == self._identity

    def _lost(self) -> StorageUnavailable:
        return StorageUnavailable(
            "The artifact root is not the directory that it was when the server started "
            "(unmounted, moved or removed?); its operator must bring it back or restart the server."
        )

    @contextmanager
    def directory(self, segments: Sequence[str]) -> Iterator[int]:
        """A descriptor of the directory at `segments`, closed after the block.

        Raises `FileNotFoundError` where one is missing, `NotADirectoryError` where it is
        something else, a link included, and `StorageUnavailable` where the root is lost.
        """
        descriptor = self._open_root()
        try:
            for segment in segments:
                descriptor = _step(descriptor, segment)
            yield descriptor
        finally:
            close_unwritten(descriptor)

    def make_directories(self, segments: Sequence[str], *, durable: bool) -> None:
        """Creates the directories along `segments` that are missing; with `durable`, for good."""
        descriptor = self._open_root()
        try:
            for segment in segments:
                with suppress(FileExistsError):
                    os.mkdir(segment, dir_fd=descriptor)
                    if durable:
                        os.fsync(descriptor)
                descriptor = _step(descriptor, segment)
        finally:
            close_unwritten(descriptor)

    def sync(self, segments: Sequence[str]) -> None:
        """Waits until the names in the directory at `segments` are safe. One that is gone has none."""
        with suppress(FileNotFoundError, NotADirectoryError), self.directory(segments) as directory:
            os.fsync(directory)

    def prune(self, segments: Sequence[str]) -> None:
        """Removes the directory at `segments` and its ancestors as far as they are empty."""
        for depth in range(len(segments), 0, -1):
            try:
                with self.directory(segments[: depth - 1]) as parent:
                    os.rmdir(segments[depth - 1], dir_fd=parent)
            except FileNotFoundError:
                continue  # another prune was faster; its ancestors may still be empty
            except OSError:
                return  # it is in use, or not ours to remove: an empty directory does no harm


def _step(parent: int, segment: str) -> int:
    """The descriptor of `segment` in `parent`; `parent` is closed once it is not needed."""
    child = os.open(segment, DIRECTORY_FLAGS, dir_fd=parent)
    close_unwritten(parent)
    return child


def close_unwritten(descriptor: int) -> None:
    """Closes what nothing was written through, so that a failure loses nothing and is nobody's business."""
    with suppress(OSError):
        os.close(descriptor)


def remove_tree(
    parent: int, segments: Sequence[str], lock: Callable[[Sequence[str]], AbstractContextManager[None]]
) -> None:
    """Removes the directory at `segments`, opened from `parent`, with all that is below it.

    Links are removed, not their targets. Each file is removed under its own `lock`, so that no
    commit to its path is between its last look and its rename.
    """
    name = segments[-1]
    with suppress(FileNotFoundError):
        descriptor = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        try:
            for child in os.listdir(descriptor):
                _remove_child(descriptor, [*segments, child], lock)
        finally:
            os.close(descriptor)
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            # An upload that came while we removed put something new into it: that stays.
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise


def _remove_child(
    parent: int, segments: Sequence[str], lock: Callable[[Sequence[str]], AbstractContextManager[None]]
) -> None:
    try:
        with lock(segments):
            os.unlink(segments[-1], dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError) as error:  # POSIX says EPERM for a directory, Linux EISDIR
        try:
            remove_tree(parent, segments, lock)
        except NotADirectoryError:
            if isinstance(error, PermissionError):
                raise error from None
            return  # it was a directory, which is gone; the file came later
