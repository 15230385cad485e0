"""An upload to the local root: staged, synced, and renamed into its place."""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import AbstractContextManager, suppress
from typing import Protocol, Self

from app.errors import StorageError
from app.paths import ArtifactPath
from app.storage.entry import Entry, Precondition
from app.storage.local.entries import file_entry
from app.storage.local.failures import translated
from app.storage.local.place import Place
from app.storage.local.workshop import Workshop
from app.storage.local.writeback import Writeback

logger = logging.getLogger(__name__)

_MOST_PIECES = os.sysconf("SC_IOV_MAX")
_MILLISECOND = 1_000_000  # in nanoseconds


class Staging(Protocol):
    """A directory of ours in which the files of uploads grow."""

    def staging(self) -> AbstractContextManager[int]:
        """Its descriptor, for the block."""
        ...

    def new_file(self) -> tuple[int, str]:
        """Creates a file that lives until the descriptor is closed, or longer; gives that, and its name."""
        ...

    def remove_file(self, name: str) -> None: ...


class LocalUpload:
    """See `app.storage.base.Upload`."""

    created = False
    ready = None
    _open = False

    def __init__(
        self,
        workshop: Workshop,
        staging: Staging,
        path: ArtifactPath,
        size: int | None,
        precondition: Precondition,
    ) -> None:
        self._disk = workshop.disk
        self._durable = workshop.durable
        self._staging = staging
        self._path = path
        self._place = Place(workshop, path, precondition)
        self._disk.require(path, size or 0)
        with translated(path):
            self._place.judge()
            self._descriptor, self._staged_name = staging.new_file()
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
                self._keep(entry)
                return entry
        except BaseException:
            self.abort()
            raise
        finally:
            self._close()

    def _keep(self, entry: Entry) -> None:
        """Makes the finished file the artifact."""
        self.created = self._place.take(self._staging.staging, self._staged_name)
        try:
            if self._durable:
                self._place.sync()
        except BaseException:
            if self.created:
                # One that was replaced cannot be brought back; then the new one, which is whole, stays.
                self._place.withdraw(entry.etag)
            raise

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

    def abort(self) -> None:
        if not self._open:
            return
        try:
            self._staging.remove_file(self._staged_name)
            self._place.prune()
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
