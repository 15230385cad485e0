"""A batch of uploads to the local root: staged in a folder of its own, then renamed one after the other."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Self, TypeAlias

from app.errors import ArtifactError, StorageError
from app.paths import ArtifactPath
from app.storage.base import Published
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.local.entries import file_entry
from app.storage.local.failures import translated
from app.storage.local.folder import Folder
from app.storage.local.place import Place
from app.storage.local.upload import LocalUpload
from app.storage.local.workshop import Workshop

logger = logging.getLogger(__name__)

ABORT_PATIENCE = 3.0
"""Seconds: many files take long to remove, and whoever aborts may be about to end."""

Directory: TypeAlias = tuple[str, ...]


class LocalBatch:
    """See `app.storage.base.Batch`."""

    _latest: LocalUpload | None = None

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._folder = workshop.reserve.new_folder()
        self._committed: dict[ArtifactPath, Precondition] = {}
        """In their order, which also is the name of the file of each."""
        self._unsafe: dict[Directory, list[tuple[ArtifactPath, str | None]]] = {}
        """What was published in each directory, whose names are not synced; with its ETag where it is new."""

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> LocalUpload:
        if path in self._committed:
            raise ValueError(f"The batch has {str(path)!r} already.")
        if self._latest is not None:
            self._latest.abort()

        def keep() -> None:
            self._folder.keep_file()
            self._committed[path] = precondition

        self._latest = _Staged(self._workshop, self._folder, path, size, precondition, keep)
        return self._latest

    def judge(self) -> Iterator[None]:
        for path, precondition in self._committed.items():
            with translated(path):
                self._place(path, precondition).judge()
            yield

    def publish(self) -> Iterator[Published]:
        coming = Counter(path.segments[:-1] for path in self._committed)
        for number, (path, precondition) in enumerate(self._committed.items()):
            published = self._publish(str(number), path, precondition)
            directory = path.segments[:-1]
            coming[directory] -= 1
            # Once for each directory, however many names it has got.
            lost = [] if coming[directory] else self._settle(directory)
            yield published
            yield from lost
        self.abort()

    def _publish(self, name: str, path: ArtifactPath, precondition: Precondition) -> Published:
        place = self._place(path, precondition)
        try:
            with translated(path):
                entry = self._staged_entry(name, path)
                created = place.take(self._folder.staging, name)
        except ArtifactError as error:
            self._discard(name, place)
            return Published(path, None, created=False, error=error)
        if self._workshop.durable:
            beside = self._unsafe.setdefault(path.segments[:-1], [])
            beside.append((path, entry.etag if created else None))
        return Published(path, entry, created, error=None)

    def _staged_entry(self, name: str, path: ArtifactPath) -> Entry:
        with self._folder.staging() as folder:
            return file_entry(path, os.stat(name, dir_fd=folder, follow_symlinks=False))

    def _discard(self, name: str, place: Place) -> None:
        try:
            self._folder.remove_file(name)
            place.prune()
        except (OSError, StorageError) as error:
            logger.warning("Left an upload of a batch to its end: %r", error)

    def _settle(self, directory: Directory) -> list[Published]:
        """Makes safe what was published in the directory; gives what could not be, after what is new of that
        was taken away."""
        unsafe = self._unsafe.get(directory, ())
        try:
            self._sync(directory)
        except ArtifactError as error:
            for path, etag in unsafe:
                if etag is not None:
                    self._withdraw(path, etag)
            return [Published(path, None, created=False, error=error) for path, _ in unsafe]
        return []

    def _sync(self, directory: Directory) -> None:
        """At most once, whatever comes of it: see P3 in docs/reliability.md."""
        unsafe = self._unsafe.pop(directory, ())
        if unsafe:
            path, _ = unsafe[0]
            with translated(path):
                self._place(path).sync()

    def _withdraw(self, path: ArtifactPath, etag: str) -> None:
        try:
            self._place(path).withdraw(etag)
            self._workshop.tree.prune(path.segments[:-1])
        except (OSError, StorageError) as error:
            logger.warning("Could not take %a away, which may not survive a crash: %r", str(path), error)

    def _place(self, path: ArtifactPath, precondition: Precondition = UNCONDITIONAL) -> Place:
        return Place(self._workshop, path, precondition)

    def abort(self) -> None:
        end = time.monotonic() + ABORT_PATIENCE
        if self._latest is not None:
            self._latest.abort()
        self._committed = {}
        self._sync_rest(end)
        try:
            self._folder.remove(end)
        except (OSError, StorageError) as error:
            logger.warning("Left an aborted batch to the sweeper: %r", error)

    def _sync_rest(self, end: float) -> None:
        """Makes safe what was published before somebody stopped that, as far as there is time."""
        unsafe, failure = 0, None
        while self._unsafe and time.monotonic() < end:
            directory = next(iter(self._unsafe))
            try:
                self._sync(directory)
            except ArtifactError as error:
                unsafe, failure = unsafe + 1, error
        unsafe += len(self._unsafe)
        if unsafe:
            logger.warning(
                "A crash may take what a batch has published in %d directories: %r",
                *(unsafe, failure or "they are too many to wait for"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class _Staged(LocalUpload):
    """Its file stays where it is when it is committed."""

    def __init__(
        self,
        workshop: Workshop,
        folder: Folder,
        path: ArtifactPath,
        size: int | None,
        precondition: Precondition,
        keep: Callable[[], None],
    ) -> None:
        super().__init__(workshop, folder, path, size, precondition)
        self._kept = keep

    def _keep(self, entry: Entry) -> None:
        self._kept()
