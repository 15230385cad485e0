"""The local root as a storage: reading, listing and deleting; uploads begin here."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from app.errors import ArtifactError, ArtifactNotFound
from app.paths import ArtifactPath
from app.storage.base import Room
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.local.batch import LocalBatch
from app.storage.local.cached import READ_FLAGS, CachedFiles
from app.storage.local.disk import Disk
from app.storage.local.download import LocalDownload
from app.storage.local.entries import brief_entry, entry_at, file_entry
from app.storage.local.failures import translated
from app.storage.local.listing import level, walk
from app.storage.local.reserve import Reserve
from app.storage.local.tree import Tree, close_unwritten, remove_tree
from app.storage.local.upload import LocalUpload
from app.storage.local.workshop import Workshop
from app.storage.ranges import ByteRange, RangeNotSatisfiable, Span

# Nothing, a file for a parent, a link, or a socket, from the start or since we looked.
_NO_ARTIFACT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}


class LocalStorage:
    """See `app.storage.base.Storage`."""

    direct = None
    plain_files = True
    sweep_every = None

    def __init__(self, tree: Tree, disk: Disk, *, durable: bool, read_only: bool) -> None:
        self.url = tree.root.as_uri()
        self._tree = tree
        self._disk = disk
        self._reserve = Reserve(tree)
        self._workshop = Workshop(tree, disk, self._reserve, durable)
        self._cached = CachedFiles.below(tree)
        self._durable = durable
        self._read_only = read_only

    def stat(self, path: ArtifactPath) -> Entry:
        with translated(path):
            try:
                with self._tree.directory(path.segments[:-1]) as parent:
                    return _look(parent, path)
            except (FileNotFoundError, NotADirectoryError):
                raise _not_found(path) from None

    def read(self, path: ArtifactPath, wanted: ByteRange | None = None) -> LocalDownload:
        with translated(path):
            try:
                with self._tree.directory(path.segments[:-1]) as parent:
                    # A look first: to open a device may do something to it.
                    _look(parent, path).require_artifact()
                    descriptor = os.open(path.name, READ_FLAGS, dir_fd=parent)
            except OSError as error:
                if error.errno in _NO_ARTIFACT:
                    raise _not_found(path) from None
                raise
        return self._open_download(path, descriptor, wanted)

    def read_at_once(self, path: ArtifactPath, wanted: ByteRange | None = None) -> LocalDownload | None:
        try:
            descriptor = None if self._cached is None else self._cached.open(path.segments)
            return None if descriptor is None else self._open_download(path, descriptor, wanted)
        except (ArtifactError, OSError, ValueError):  # the last for a name that the locale cannot write
            return None

    def _open_download(self, path: ArtifactPath, descriptor: int, wanted: ByteRange | None) -> LocalDownload:
        try:
            return self._download(path, descriptor, wanted)
        except BaseException:
            close_unwritten(descriptor)
            raise

    def _download(self, path: ArtifactPath, descriptor: int, wanted: ByteRange | None) -> LocalDownload:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _not_found(path)
        entry = file_entry(path, status)
        span = Span(0, status.st_size) if wanted is None else wanted.resolve(status.st_size)
        if span is None:
            raise RangeNotSatisfiable(entry)
        read_at_once = None if self._cached is None else self._cached.reader_of(status)
        return LocalDownload(descriptor, entry, span, read_at_once)

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> LocalUpload:
        return LocalUpload(self._workshop, self._reserve, path, size, precondition)

    def batch(self) -> LocalBatch:
        with translated(ArtifactPath()):
            return LocalBatch(self._workshop)

    def list(
        self,
        directory: ArtifactPath,
        *,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> Iterator[Entry]:
        with translated(directory):
            try:
                listed = walk if recursive else level
                yield from listed(
                    self._tree, directory, after or "", entry_of=brief_entry if brief else file_entry
                )
            except (FileNotFoundError, NotADirectoryError):
                return

    def usage(self, directory: ArtifactPath) -> int:
        return sum(entry.size or 0 for entry in self.list(directory, recursive=True, brief=True))

    def delete(self, path: ArtifactPath, *, precondition: Precondition = UNCONDITIONAL) -> None:
        parents = path.segments[:-1]
        with translated(path):
            try:
                with self._tree.directory(parents) as parent:
                    self._remove(path, precondition, parent)
                    if self._durable:
                        os.fsync(parent)
            except (FileNotFoundError, NotADirectoryError):
                precondition.require(path, None)
            else:
                self._tree.prune(parents)

    def _remove(self, path: ArtifactPath, precondition: Precondition, parent: int) -> None:
        """Raises `FileNotFoundError` if there is nothing to remove."""
        with self._reserve.path_lock(path.segments):
            try:
                entry: Entry | None = entry_at(parent, path)
            except FileNotFoundError:
                entry = None
            precondition.require(path, entry)
            if entry is None or not entry.is_dir:
                # What is no artifact, such as a link, goes too. A directory came this moment, and stays.
                with suppress(IsADirectoryError):
                    os.unlink(path.name, dir_fd=parent)
                return
        # Not under the lock of the directory: each artifact in it has its own.
        remove_tree(parent, path.segments, self._reserve.path_lock)

    def check(self) -> None:
        with translated(ArtifactPath()), self._tree.directory(()) as descriptor:
            os.listdir(descriptor)
            if not self._read_only:
                self._reserve.check()

    def room(self) -> Room | None:
        return self._disk.room()

    def rehearse(self) -> Iterator[str]:
        self.check()
        yield "list"
        if not self._read_only:
            with translated(ArtifactPath()):
                yield from self._reserve.rehearse()
            self._disk.rehearse()

    def sweep(self) -> int:
        if self._read_only:
            return 0
        with translated(ArtifactPath()):
            return self._reserve.sweep()

    def close(self) -> None:
        """Nothing is held open between two calls."""


def _look(parent: int, path: ArtifactPath) -> Entry:
    return Entry(path, is_dir=True) if path.is_root else entry_at(parent, path)


def _not_found(path: ArtifactPath) -> ArtifactNotFound:
    return ArtifactNotFound(f"There is no artifact {str(path)!r}; list its directory to see what there is.")
