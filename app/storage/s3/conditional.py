"""Whether the store really has conditional writes: some refuse them, and some take no notice.

Nothing announces it, so it is tried out once, on a probe of our own, when first somebody asks for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Literal, TypeAlias

from botocore.exceptions import ClientError

from app.errors import NotSupported
from app.storage.s3.bucket import Bucket, code, status
from app.storage.s3.failures import CONFLICTING, FAILURES

Write: TypeAlias = Literal["PutObject", "CompleteMultipartUpload", "DeleteObject"]

PROBES = "probe-"
"""What the names of probes begin with. One has the id of the upload that is open for its key, or this:"""
NO_UPLOAD = b"probe"

_NO_ETAG = '"00000000000000000000000000000000"'


class ConditionalWrites:
    """Raises what botocore raises, where trying out fails."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = Lock()
        self._tried: dict[Write, Future[bool]] = {}

    def require(self, write: Write) -> None:
        """Raises `NotSupported` unless the store judges conditions on this operation."""
        with self._lock:
            tried = self._tried.get(write)
            is_first = tried is None
            if tried is None:
                tried = self._tried[write] = Future()
        if is_first:
            self._settle(write, tried)
        if not tried.result():
            raise NotSupported(
                "The storage behind this server cannot hold this to a condition; send it without If-Match, "
                "If-None-Match and If-Unmodified-Since."
            )

    def _settle(self, write: Write, tried: Future[bool]) -> None:
        """For this caller and all that wait for the same. A failure is theirs; the next one tries anew."""
        try:
            tried.set_result(self._try_out(write))
        except BaseException as error:
            with self._lock:
                del self._tried[write]
            tried.set_exception(error)

    def _try_out(self, write: Write) -> bool:
        key = self._bucket.root.own(PROBES + secrets.token_hex(8))
        self._bucket.own_call("PutObject", Key=key, Body=NO_UPLOAD)
        try:
            return _TRIALS[write](self._bucket, key)
        finally:
            with suppress(*FAILURES):
                self._bucket.call("DeleteObject", Key=key)


def _judges(bucket: Bucket, operation: str, **parameters: object) -> bool:
    """Whether the store refuses a request for the condition in it, which never holds."""
    try:
        bucket.own_call(operation, **parameters)
    except ClientError as error:
        if status(error) == 412 or code(error) in CONFLICTING:
            return True
        if status(error) in {400, 501}:
            return False
        raise
    return False


def _put(bucket: Bucket, key: str) -> bool:
    return _judges(bucket, "PutObject", Key=key, Body=NO_UPLOAD, IfNoneMatch="*") and _judges(
        bucket, "PutObject", Key=key, Body=NO_UPLOAD, IfMatch=_NO_ETAG
    )


def _complete(bucket: Bucket, key: str) -> bool:
    def judges(**condition: str) -> bool:
        upload_id = bucket.own_call("CreateMultipartUpload", Key=key)["UploadId"]
        try:
            bucket.own_call("PutObject", Key=key, Body=upload_id.encode())  # so that a sweep can abort it
            part = bucket.own_call("UploadPart", Key=key, UploadId=upload_id, PartNumber=1, Body=b"other")
            parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            return _judges(
                bucket,
                "CompleteMultipartUpload",
                Key=key,
                UploadId=upload_id,
                MultipartUpload=parts,
                **condition,
            )
        finally:
            with suppress(*FAILURES):
                bucket.call("AbortMultipartUpload", Key=key, UploadId=upload_id)

    return judges(IfNoneMatch="*") and judges(IfMatch=_NO_ETAG)


def _delete(bucket: Bucket, key: str) -> bool:
    return _judges(bucket, "DeleteObject", Key=key, IfMatch=_NO_ETAG)


_TRIALS: dict[Write, Callable[[Bucket, str], bool]] = {
    "PutObject": _put,
    "CompleteMultipartUpload": _complete,
    "DeleteObject": _delete,
}
