"""What can go wrong, in the words of the domain. Nothing here knows of HTTP.

    ArtifactError
    ├── InvalidRequest              the caller's words make no sense
    │   ├── InvalidPath             a path that no artifact may have
    │   ├── InvalidArchive          an archive that is damaged, or has what is not taken
    │   ├── DigestMismatch          the bytes are not those that were announced
    │   ├── UnsupportedMediaType    a body in a form that is not taken
    │   ├── RequestTooLarge         more of something than is taken
    │   ├── ExpectationFailed       an Expect that is not known
    │   ├── MisdirectedRequest      a host name that is not this server's
    │   └── FeatureDisabled         something of MLflow's that is not here
    ├── ArtifactNotFound
    ├── UploadNotFound              no such upload to this path is open
    ├── ArtifactIsDirectory         bytes were asked of a directory
    ├── PathConflict                a file is where a directory must be, or the reverse
    ├── PreconditionFailed          the artifact is not in the state that was demanded
    ├── RangeNotSatisfiable         no byte of the artifact lies in the range (storage.ranges)
    ├── Unauthenticated             nobody knows who the caller is
    ├── NotPermitted                the caller may not do this
    ├── NotSupported                this storage has no such power
    ├── UploadInterrupted           the client went away in the middle of a body
    ├── TransferTooSlow             the client sends or takes next to nothing
    ├── QuotaExceeded               the caller's part of the storage is used up
    ├── TryLater                    sent again later, the same may succeed
    │   ├── TooManyRequests         from this caller
    │   ├── ServerBusy              from all callers together
    │   └── IdentityUnavailable     who the caller is cannot be found out now
    └── StorageError                the storage's fault, not the caller's
        ├── StorageFull
        ├── StorageUnavailable
        ├── StorageTimeout
        ├── StorageUnreachable
        ├── StorageMisbehaved
        └── StoragePermissionDenied

Messages are shown to callers: they name artifact paths, never a path or bucket of the server.
"""

from __future__ import annotations

import random
from typing import Literal, TypeAlias

Lacking: TypeAlias = Literal["places", "memory", "threads", "connections"]


class ArtifactError(Exception):
    """The base of all errors that storage and paths raise; the text is fit for callers."""


class InvalidRequest(ArtifactError):
    """The request is malformed; sending it again cannot help."""


class InvalidPath(InvalidRequest):
    """The text is no artifact path, or one that no artifact may have."""


class InvalidArchive(InvalidRequest):
    """The bytes are no whole archive of the format that was announced, or hold what is not taken."""


class DigestMismatch(InvalidRequest):
    """The digest of the received bytes differs from the one that the client sent."""


class UnsupportedMediaType(InvalidRequest):
    """The body is in a form that is not accepted here."""


class RequestTooLarge(InvalidRequest):
    """The body is larger than what is accepted here."""


class ExpectationFailed(InvalidRequest):
    """The client expects something that this server does not know."""


class FeatureDisabled(InvalidRequest):
    """The client counts on something of MLflow's that this server does not have."""


class ArtifactNotFound(ArtifactError):
    """There is no artifact at the path."""


class UploadNotFound(ArtifactError):
    """There is no open multipart upload of this identifier to the path."""


class ArtifactIsDirectory(ArtifactError):
    """The path is a directory, where a single artifact was meant."""


class PathConflict(ArtifactError):
    """A part of the path is a file where a directory is needed, or the reverse."""


class PreconditionFailed(ArtifactError):
    """A condition that the caller set on the current artifact does not hold."""


class MisdirectedRequest(InvalidRequest):
    """The request is for a host that this server does not serve."""


class Unauthenticated(ArtifactError):
    """There is no credential, or none that is known or holds any more."""


class NotPermitted(ArtifactError):
    """The server's configuration does not let the caller do this."""


class NotSupported(ArtifactError):
    """The storage behind the artifact root cannot do this."""


class UploadInterrupted(ArtifactError):
    """The client broke off before the whole body had arrived."""


class TransferTooSlow(ArtifactError):
    """The client sends a body, or takes one, slower than is waited for."""


class QuotaExceeded(ArtifactError):
    """The artifacts below a prefix take all the room that the operator gave them."""


class TryLater(ArtifactError):
    """The request is fine, but not now."""

    def __init__(self, message: str, seconds: float = 5) -> None:
        """`seconds`: after how many it may be sent again."""
        super().__init__(message)
        self.seconds = seconds


class TooManyRequests(TryLater):
    """The caller asks more at once, or in a second, than one caller may."""


class ServerBusy(TryLater):
    """The server has as much to do as it can take on."""

    def __init__(self, message: str, lacking: Lacking) -> None:
        """`lacking`: what there is not enough of."""
        # Those who are sent away together do not come back together.
        super().__init__(message, random.uniform(4, 8))  # noqa: S311 - no secret
        self.lacking = lacking


class IdentityUnavailable(TryLater):
    """What is needed to find out who the caller is cannot be had now."""


class StorageError(ArtifactError):
    """The storage failed in a way that has no name of its own."""


class StorageFull(StorageError):
    """No space, no inode, or no quota is left."""


class StorageUnavailable(StorageError):
    """The storage, or room in memory for what is meant for it, is not to be had at the moment."""


class StorageTimeout(StorageError):
    """The storage did not answer in time."""


class StorageUnreachable(StorageError):
    """The storage cannot be connected to, or broke the connection off."""


class StorageMisbehaved(StorageError):
    """The storage answered something that makes no sense, or a failure of its own."""


class StoragePermissionDenied(StorageError):
    """The storage refused the server's own credentials or user."""
