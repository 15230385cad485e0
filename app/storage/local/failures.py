"""Translates the operating system's errors into those of the domain."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import (
    InvalidPath,
    PathConflict,
    StorageError,
    StorageFull,
    StoragePermissionDenied,
    StorageTimeout,
    StorageUnavailable,
)
from app.paths import ArtifactPath

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMLINK}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Passing faults: of the mount, or of this process's limits.
_UNAVAILABLE = {
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOLCK,
}


@contextmanager
def translated(path: ArtifactPath) -> Iterator[None]:
    """Raises the `ArtifactError` for an `OSError` in the block; messages show no server path."""
    try:
        yield
    except OSError as error:
        raise _translation(error, str(path)) from error


def _translation(error: OSError, path: str) -> Exception:
    if error.errno in _FULL:
        return StorageFull(f"The storage has no room left for {path!r}; free some or ask its operator.")
    if error.errno in _DENIED:
        return StoragePermissionDenied(
            f"The storage does not let the server do this with {path!r}; its operator can tell why."
        )
    if error.errno == errno.ENOTDIR:
        return PathConflict(
            f"Cannot store {path!r}: a parent of it is a file; delete that or choose another path."
        )
    if error.errno in {errno.ENAMETOOLONG, errno.EILSEQ}:
        return InvalidPath(f"Invalid artifact path {path!r}: the storage cannot have such a name.")
    if error.errno == errno.ETIMEDOUT:
        return StorageTimeout(f"The storage did not answer in time for {path!r}.")
    if error.errno in _UNAVAILABLE:
        return StorageUnavailable("The storage is not available at the moment; try again later.")
    return StorageError(f"The storage failed at {path!r}.")
