"""The server's own corner of the root, `.artifact-proxy/`: files being uploaded, and locks.

It lies below the root because only a rename within one file system is atomic. Uploads are told
apart from the leftovers of a crashed server by the lock that every upload holds on its file, and every
batch in its folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from zlib import crc32

from app.errors import StorageError
from app.paths import RESERVED_PREFIX
from app.storage.local.folder import FOLDER, Folder, sweep_folder
from app.storage.local.locks import locked_at_once
from app.storage.local.tree import Tree, close_unwritten

logger = logging.getLogger(__name__)

_STAGING = (RESERVED_PREFIX, "staging")
_LOCKS = (RESERVED_PREFIX, "locks")
_PATH_LOCKS = 256
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Reserve:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @contextmanager
    def _directory(self, segments: tuple[str, str]) -> Iterator[int]:
        """A descriptor of one of our directories; made where it is missing, as in a new root."""
        with ExitStack() as stack:
            try:
                descriptor = stack.enter_context(self._tree.directory(segments))
            except FileNotFoundError:
                self._tree.make_directories(segments, durable=False)
                descriptor = stack.enter_context(self._tree.directory(segments))
            yield descriptor

    @contextmanager
    def staging(self) -> Iterator[int]:
        """A descriptor of the directory in which uploads are written."""
        with self._directory(_STAGING) as descriptor:
            yield descriptor

    def new_file(self) -> tuple[int, str]:
        """Creates and locks a file in staging; gives its descriptor, to be closed, and its name."""
        with self.staging() as staging:
            while True:
                name = secrets.token_hex(16)
                descriptor = os.open(name, _NEW_FILE, 0o666, dir_fd=staging)
                try:
                    # Between the two calls a sweeper may have taken the file for a leftover.
                    if locked_at_once(descriptor) and os.fstat(descriptor).st_nlink:
                        return descriptor, name
                except BaseException:
                    os.unlink(name, dir_fd=staging)
                    os.close(descriptor)
                    raise
                os.close(descriptor)

    def remove_file(self, name: str) -> None:
        with self.staging() as staging, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=staging)

    def new_folder(self) -> Folder:
        """Creates and locks a folder in staging for the files of one batch."""
        return Folder(self.staging)

    def check(self) -> None:
        """Does once all that an upload needs here: creates, locks and removes."""
        descriptor, name = self.new_file()
        try:
            self.remove_file(name)
        finally:
            os.close(descriptor)
        self.await_directories()

    def rehearse(self) -> Iterator[str]:
        """Writes, reads and removes a file of our own; names each step when it is done."""
        descriptor, name = self.new_file()
        try:
            try:
                os.write(descriptor, b"probe")
                os.fsync(descriptor)
                yield "write"
                if os.pread(descriptor, 6, 0) != b"probe":
                    raise StorageError("The storage gave other bytes back than were written to it.")
                yield "read back"
            finally:
                self.remove_file(name)
            yield "delete"
        finally:
            os.close(descriptor)

    def sweep(self) -> int:
        """Removes the files in staging that no living upload or batch holds; says how many."""
        swept = 0
        with self.staging() as staging:
            for name in os.listdir(staging):
                try:
                    sweep = sweep_folder if name.startswith(FOLDER) else _sweep
                    swept += sweep(staging, name)
                except FileNotFoundError:
                    continue  # finished, or swept by somebody else
                except OSError as error:
                    logger.warning("Cannot sweep %a: %s; remove it by hand.", name, error.strerror)
        return swept

    @contextmanager
    def path_lock(self, segments: Sequence[str]) -> Iterator[None]:
        """Keeps every other change of that path out, also those of other workers and hosts."""
        number = crc32(os.fsencode("/".join(segments))) % _PATH_LOCKS
        with self._lock(f"path-{number:02x}", fcntl.LOCK_EX):
            yield

    @contextmanager
    def directories_lock(self) -> Iterator[None]:
        """Held by whoever creates directories, until they are durable."""
        with self._lock("directories", fcntl.LOCK_EX):
            yield

    def await_directories(self) -> None:
        """Waits until the directories that others were seen to create are durable."""
        with self._lock("directories", fcntl.LOCK_SH):
            pass

    @contextmanager
    def _lock(self, name: str, kind: int) -> Iterator[None]:
        with self._directory(_LOCKS) as locks:
            descriptor = os.open(
                name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=locks
            )
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            close_unwritten(descriptor)


def _sweep(staging: int, name: str) -> bool:
    """Removes the file unless a living upload holds it; says whether it did."""
    descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=staging)
    try:
        orphaned = locked_at_once(descriptor)
        if orphaned:
            os.unlink(name, dir_fd=staging)
        return orphaned
    finally:
        os.close(descriptor)
