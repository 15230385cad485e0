"""An upload to the local root: staged, synced, and renamed into its place."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import time
from contextlib import suppress
from typing import Self

from app.errors import PathConflict, StorageError, StorageUnavailable
from app.paths import ArtifactPath
from app.storage.base import Entry, Precondition
from app.storage.local.disk import Disk
from app.storage.local.entries import entry_at, file_entry
from app.storage.local.failures import translated
from app.storage.local.reserve import Reserve
from app.storage.local.tree import Tree
from app.storage.local.writeback import Writeback

logger = logging.getLogger(__name__)

_ATTEMPTS = 64
_MOST_PIECES = os.sysconf("SC_IOV_MAX")
_MILLISECOND = 1_000_000  # in nanoseconds


class LocalUpload:
    """See `app.storage.base.Upload`."""

    created = False
    ready = None
    _open = False
    _made_directories = False
    _placed = False
    """Whether the artifact has its name."""

    def __init__(
        self,
        tree: Tree,
        disk: Disk,
        reserve: Reserve,
        path: ArtifactPath,
        precondition: Precondition,
        *,
        durable: bool,
    ) -> None:
        self._tree = tree
        self._disk = disk
        self._reserve = reserve
        self._path = path
        self._parents = path.segments[:-1]
        self._precondition = precondition
        self._durable = durable
        with translated(path):
            self._require()
            self._descriptor, self._staged_name = reserve.new_file()
        self._writeback = Writeback(self._descriptor)
        self._open = True

    def write(self, *pieces: bytes) -> None:
        size = sum(map(len, pieces))
        with self._disk.writing(self._path, size), translated(self._path):
            written = os.writev(self._descriptor, pieces[:_MOST_PIECES]) if size else 0
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            if self._durable:
                self._writeback.wrote(size)

    def commit(self) -> Entry:
        try:
            with translated(self._path):
                entry = self._finish_file()
                try:
                    self._publish()
                except BaseException:
                    self._withdraw()
                    raise
                return entry
        except BaseException:
            self.abort()
            raise
        finally:
            self._close()

    def _publish(self) -> None:
        with self._reserve.path_lock(self._path.segments):
            self.created = self._require() is None
            self._rename_into_place()
        if self._durable:
            self._sync_names()

    def _finish_file(self) -> Entry:
        """All that can still fail with the bytes fails here, before the artifact appears."""
        # Random last digits, because the ETag is made of the time: see `entries`.
        now = time.time_ns() // _MILLISECOND * _MILLISECOND + secrets.randbelow(_MILLISECOND)
        os.utime(self._descriptor, ns=(now, now))
        if self._durable:
            os.fsync(self._descriptor)
        # Network file systems report late write errors when a descriptor is closed. The first
        # one stays open: it holds the lock that tells the sweeper that the upload lives.
        os.close(os.dup(self._descriptor))
        return file_entry(self._path, os.fstat(self._descriptor))

    def _require(self) -> Entry | None:
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

    def _rename_into_place(self) -> None:
        for _ in range(_ATTEMPTS):
            try:
                with self._tree.directory(self._parents) as parent, self._reserve.staging() as staging:
                    os.rename(self._staged_name, self._path.name, src_dir_fd=staging, dst_dir_fd=parent)
                    self._placed = True
                    return
            except FileNotFoundError as error:
                if not os.fstat(self._descriptor).st_nlink:
                    raise StorageError("Somebody removed the file of an upload in progress.") from error
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

    def _sync_names(self) -> None:
        try:
            with self._tree.directory(self._parents) as parent:
                os.fsync(parent)
            self._reserve.await_directories()
        except (FileNotFoundError, NotADirectoryError):
            return  # deleted again by somebody else, which is not our failure

    def _withdraw(self) -> None:
        """Takes a new artifact away again whose name may not survive a crash.

        One that was replaced cannot be brought back; then the new one, which is whole, stays.
        """
        if not (self._placed and self.created):
            return
        ours = os.fstat(self._descriptor)
        with (
            self._reserve.path_lock(self._path.segments),
            suppress(FileNotFoundError, NotADirectoryError),
            self._tree.directory(self._parents) as parent,
        ):
            there = os.stat(self._path.name, dir_fd=parent, follow_symlinks=False)
            if os.path.samestat(ours, there):
                os.unlink(self._path.name, dir_fd=parent)

    def abort(self) -> None:
        if not self._open:
            return
        try:
            self._reserve.remove_file(self._staged_name)
            if self._made_directories:
                self._tree.prune(self._parents)
        except (OSError, StorageError) as error:
            logger.warning("Left an aborted upload to the sweeper: %r", error)
        finally:
            self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            # Whatever close can report has been reported: the bytes were written and flushed.
            with suppress(OSError):
                os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()
