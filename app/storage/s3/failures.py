"""Translates botocore's errors into those of the domain, for the callers of the server.

Their cause is a `StoreFault`, for the log and for the start of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    ReadTimeoutError,
)
from botocore.exceptions import (
    ConnectionError as ConnectionFailure,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError as BrokenBody
from urllib3.exceptions import TimeoutError as SilentBody

from app.errors import (
    ArtifactError,
    InvalidPath,
    NotSupported,
    PathConflict,
    PreconditionFailed,
    RequestTooLarge,
    StorageFull,
    StorageMisbehaved,
    StoragePermissionDenied,
    StorageTimeout,
    StorageUnavailable,
    StorageUnreachable,
)
from app.paths import ArtifactPath
from app.storage.s3.bucket import code, status
from app.storage.s3.diagnosis import StoreFault, explanation

# The last one is raised where the body of an answer breaks off, which botocore does not always notice.
SDK_ERRORS = (BotoCoreError, ClientError, ResponseParserError, BrokenBody)
FAILURES = (*SDK_ERRORS, StorageMisbehaved)
"""All that a request may raise."""
SILENCE = (ReadTimeoutError, ConnectTimeoutError, SilentBody)

_FULL = {"QuotaExceeded", "QuotaExceededException", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_CONFLICT = {"XMinioParentIsObject", "XMinioObjectExistsAsDirectory", "ExistingObjectIsDirectory"}
_BAD_KEY = {"KeyTooLongError", "XMinioInvalidObjectName"}
_THROTTLED = {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
# Somebody else's change at the same moment; or a condition of ours that does not hold.
CONFLICTING = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted"}
_CORRUPTED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}


@contextmanager
def translated(path: ArtifactPath) -> Iterator[None]:
    """Raises the `ArtifactError` for one of botocore's errors in the block."""
    try:
        yield
    except SDK_ERRORS as error:
        raise translation(error, path) from StoreFault(explanation(error))


def translation(error: Exception, path: ArtifactPath) -> ArtifactError:
    shown = "the artifact root" if path.is_root else repr(str(path))
    if isinstance(error, ClientError):
        return _answer(status(error), code(error), shown)
    if isinstance(error, SILENCE):
        return StorageTimeout(f"The storage did not answer in time for {shown}.")
    if isinstance(error, CredentialRetrievalError):
        return StorageUnavailable("The storage is not available at the moment; try again later.")
    if isinstance(error, ConnectionFailure | HTTPClientError | IncompleteReadError | BrokenBody):
        return StorageUnreachable(f"The storage could not be reached for {shown}; try again later.")
    if isinstance(error, ResponseParserError | FlexibleChecksumError):
        return StorageMisbehaved(f"The storage gave an answer that makes no sense for {shown}.")
    # Credentials that are missing, incomplete or of a wrong kind; parameters that botocore refuses.
    return StoragePermissionDenied(
        f"The server cannot use its storage for {shown} as it is configured; its operator can tell why."
    )


def _answer(status: int, code: str, shown: str) -> ArtifactError:
    if code in _CONFLICT:
        return PathConflict(
            f"Cannot store {shown}: a directory or a parent of it is a file, or the reverse; delete that or "
            "choose another path."
        )
    if code in _BAD_KEY:
        return InvalidPath(f"Invalid artifact path {shown}: the storage cannot have such a name.")
    if status == 507 or code in _FULL:
        return StorageFull(f"The storage has no room left for {shown}; free some or ask its operator.")
    if status == 413 or code == "EntityTooLarge":
        return RequestTooLarge(f"The storage takes no artifact as large as {shown}; send a smaller one.")
    if status == 412 or code in CONFLICTING:
        return PreconditionFailed(
            f"The artifact {shown} was changed by somebody else meanwhile; read it again."
        )
    if code == "RequestTimeout":
        return StorageTimeout(f"The storage did not get all of {shown} in time.")
    # What is missing here is the bucket, or an upload that was swept: objects were asked for before.
    if status in {404, 429, 503} or code in _THROTTLED:
        return StorageUnavailable("The storage is not available at the moment; try again later.")
    if status == 501 or code == "NotImplemented":
        return NotSupported(f"The storage behind this server cannot do this with {shown}.")
    if status >= 500 or code in _CORRUPTED:
        return StorageMisbehaved(f"The storage failed at {shown}; try again later.")
    return StoragePermissionDenied(
        f"The storage does not let the server do this with {shown}; its operator can tell why."
    )
