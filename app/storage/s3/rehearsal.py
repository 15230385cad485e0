"""What a server asks of the store, done once on a probe in its own corner."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, suppress

from app.errors import StorageMisbehaved
from app.paths import ArtifactPath
from app.storage.s3.bucket import Bucket
from app.storage.s3.conditional import NO_UPLOAD, PROBES
from app.storage.s3.deletion import delete_keys
from app.storage.s3.failures import FAILURES


def rehearse(bucket: Bucket, *, read_only: bool) -> Iterator[str]:
    """Names each step when it is done. Raises what botocore raises."""
    bucket.first(bucket.root.prefix, 1)
    yield "list"
    if read_only:
        return
    key = bucket.root.own(PROBES + secrets.token_hex(8))
    bucket.upload_call("PutObject", Key=key, Body=NO_UPLOAD)
    try:
        yield "write"
        bucket.call("HeadObject", Key=key)
        with closing(bucket.call("GetObject", Key=key)["Body"]) as body:
            if body.read() != b"probe":
                raise StorageMisbehaved("The storage gave other bytes back than were written to it.")
        yield "read back"
        upload = {"Key": key, "UploadId": bucket.upload_call("CreateMultipartUpload", Key=key)["UploadId"]}
        try:
            bucket.upload_call("UploadPart", **upload, PartNumber=1, Body=b"probe")
        finally:
            bucket.call("AbortMultipartUpload", **upload)
        yield "begin and abort a multipart upload"
    except BaseException:
        with suppress(*FAILURES):  # the first error says what is missing
            bucket.call("DeleteObject", Key=key)
        raise
    delete_keys(bucket, [key], ArtifactPath())
    yield "delete"
