"""The place of one artifact in the tree: what stands there, and how a file that is finished takes it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress

from app.errors import PathConflict, StorageError, StorageUnavailable
from app.paths import ArtifactPath
from app.storage.entry import Entry, Precondition
from app.storage.local.entries import entry_at
from app.storage.local.workshop import Workshop

_ATTEMPTS = 64


class Place:
    """Raises what the operating system raises, beside errors of the domain."""

    _made_directories = False

    def __init__(self, workshop: Workshop, path: ArtifactPath, precondition: Precondition) -> None:
        self._tree = workshop.tree
        self._reserve = workshop.reserve
        self._durable = workshop.durable
        self._path = path
        self._parents = path.segments[:-1]
        self._precondition = precondition

    def judge(self) -> Entry | None:
        """What is to be replaced, None if nothing; raises if it may not be."""
        current = self._current()
        self._precondition.require(self._path, current)
        return current

    def _current(self) -> Entry | None:
        try:
            with self._tree.directory(self._parents) as parent:
                entry = entry_at(parent, self._path)
        except FileNotFoundError:
            return None
        if not entry.is_dir:
            return entry
        try:
            with self._tree.directory(self._path.segments) as directory:
                if os.listdir(directory):
                    raise self._directory_in_the_way()
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            return self._current()  # the directory was replaced by an artifact this moment
        return None

    def take(self, staging: Callable[[], AbstractContextManager[int]], name: str) -> bool:
        """Moves the file called `name` here, from the directory that `staging` opens, if it may be.

        Says whether there was no artifact before. The name survives a crash after `sync`.
        """
        with self._reserve.path_lock(self._path.segments):
            created = self.judge() is None
            self._rename(staging, name)
        return created

    def _rename(self, staging: Callable[[], AbstractContextManager[int]], name: str) -> None:
        for _ in range(_ATTEMPTS):
            try:
                with self._tree.directory(self._parents) as parent, staging() as source:
                    os.rename(name, self._path.name, src_dir_fd=source, dst_dir_fd=parent)
                    return
            except FileNotFoundError:
                with staging() as source:
                    _require_staged(source, name)
                # A parent is not there yet, or was removed this moment with its last artifact.
                self._make_parents()
            except IsADirectoryError:
                self._remove_empty_directory()
        raise StorageUnavailable(f"The directories of {str(self._path)!r} keep vanishing; try again later.")

    def _make_parents(self) -> None:
        self._made_directories = True
        with suppress(FileNotFoundError), self._reserve.directories_lock():
            self._tree.make_directories(self._parents, durable=self._durable)

    def _remove_empty_directory(self) -> None:
        """Makes way for the artifact: a directory without artifacts is as good as none."""
        try:
            with self._tree.directory(self._parents) as parent:
                os.rmdir(self._path.name, dir_fd=parent)
        except FileNotFoundError:
            return  # somebody else did it
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise self._directory_in_the_way() from error
            raise

    def _directory_in_the_way(self) -> PathConflict:
        return PathConflict(
            f"Cannot store {str(self._path)!r}: it is a directory that is not empty; "
            "delete that or choose another path."
        )

    def sync(self) -> None:
        """Waits until the names in its directory are safe, and that of the directory."""
        self._tree.sync(self._parents)
        self._reserve.await_directories()

    def withdraw(self, etag: str | None) -> None:
        """Takes an artifact away again whose name may not survive a crash, if it still has this ETag."""
        with (
            self._reserve.path_lock(self._path.segments),
            suppress(FileNotFoundError, NotADirectoryError),
            self._tree.directory(self._parents) as parent,
        ):
            if entry_at(parent, self._path).etag == etag:
                os.unlink(self._path.name, dir_fd=parent)

    def prune(self) -> None:
        """Removes the directories that were made for nothing."""
        if self._made_directories:
            self._tree.prune(self._parents)


def _require_staged(source: int, name: str) -> None:
    try:
        os.stat(name, dir_fd=source, follow_symlinks=False)
    except FileNotFoundError as error:
        raise StorageError("Somebody removed the file of an upload in progress.") from error
