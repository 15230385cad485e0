"""A download from S3: one version, by its ETag, also where the connection has to be made anew."""

from __future__ import annotations

import time
from typing import Any, Self

from botocore.exceptions import ClientError, FlexibleChecksumError

from app.errors import StorageMisbehaved
from app.storage.entry import Entry
from app.storage.ranges import Span
from app.storage.s3.bucket import Bucket, status
from app.storage.s3.entries import etag
from app.storage.s3.failures import SDK_ERRORS, SILENCE, translated

CHUNK_BYTES = 512 * 1024
FIRST_CHUNK_BYTES = 256 * 1024
"""Less, because a client waits for it before it gets anything."""
_ATTEMPTS = 4
"""To go on after a broken connection, without a byte gained by any of them."""
_PAUSE_SECONDS = 0.1
"""Before the second attempt, and twice as long before each further one."""
_DRAINED_BYTES = 64 * 1024
"""What is read to its end, so that the connection can be used again, rather than given up."""


class S3Download:
    """See `app.storage.base.Download`. Takes over the body of a GetObject."""

    def __init__(self, bucket: Bucket, entry: Entry, span: Span, body: Any) -> None:
        self.entry = entry
        self.span = span
        self._bucket = bucket
        self._body = body
        self._position = span.start
        self._failures = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        at_once = FIRST_CHUNK_BYTES if self._position == self.span.start else CHUNK_BYTES
        wanted = min(at_once, self.span.stop - self._position)
        if wanted <= 0:
            raise StopIteration
        with translated(self.entry.path):
            chunk = self._read(wanted)
        self._position += len(chunk)
        return chunk

    def next_at_once(self) -> bytes | None:
        """The end, but no chunk: see `S3Storage.read_at_once`."""
        return b"" if self._position == self.span.stop else None

    def _read(self, wanted: int) -> bytes:
        while True:
            try:
                if self._body is None:
                    self._body = self._resume()
                chunk: bytes = self._body.read(wanted)
                if self._position + len(chunk) == self.span.stop:
                    self._body.read()  # nothing is left, but only now boto3 compares checksums
                    self._drop()
                elif not chunk:
                    raise StorageMisbehaved(
                        f"The storage gave less of {str(self.entry.path)!r} than it has; it was cut off."
                    )
            except SDK_ERRORS as error:
                self._failures += 1
                if self._failures >= _ATTEMPTS or not _worth_another(error):
                    raise
                self._drop()
                time.sleep(_PAUSE_SECONDS * 2 ** (self._failures - 1))
                continue
            self._failures = 0
            return chunk

    def _resume(self) -> Any:
        """The rest of the same version."""
        try:
            answer = self._bucket.call(
                "GetObject",
                Key=self._bucket.root.key(self.entry.path),
                Range=f"bytes={self._position}-{self.span.stop - 1}",
                IfMatch=f'"{self.entry.etag}"',
            )
        except ClientError as error:
            if status(error) in {404, 412}:
                raise StorageMisbehaved(
                    f"The storage broke off in {str(self.entry.path)!r}, which is another one by now."
                ) from None
            raise
        # Stores without If-Match, or without ranges, take no notice of them.
        rest = f"bytes {self._position}-{self.span.stop - 1}/{self.entry.size}"
        if answer.get("ContentRange") != rest or etag(answer) != self.entry.etag:
            answer["Body"].close()
            raise StorageMisbehaved(
                f"The storage gave something else of {str(self.entry.path)!r} than it was asked for."
            )
        return answer["Body"]

    def close(self) -> None:
        left = self.span.stop - self._position
        try:
            if self._body is not None and left <= _DRAINED_BYTES:
                self._body.read()
        except SDK_ERRORS:
            pass  # nobody waits for these bytes
        finally:
            self._drop()

    def _drop(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()


def _worth_another(error: Exception) -> bool:
    """An answer is final. Silence was waited for long enough. What was damaged may have been sent on."""
    return not isinstance(error, (ClientError, FlexibleChecksumError, *SILENCE))
