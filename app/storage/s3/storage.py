"""A prefix of a bucket as a storage: reading, listing and deleting; uploads begin here."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from app.budget import Budget
from app.errors import ArtifactIsDirectory, ArtifactNotFound, StorageMisbehaved, StorageUnavailable
from app.paths import ArtifactPath
from app.storage.base import Room
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.ranges import ByteRange, RangeNotSatisfiable, Span
from app.storage.s3 import S3Settings
from app.storage.s3.batch import S3Batch
from app.storage.s3.bucket import Bucket, code, status
from app.storage.s3.conditional import ConditionalWrites
from app.storage.s3.deletion import delete_tree, prune, prune_parents
from app.storage.s3.direct import S3Direct
from app.storage.s3.download import S3Download
from app.storage.s3.entries import object_entry
from app.storage.s3.failures import translated
from app.storage.s3.listing import level, walk
from app.storage.s3.multipart import OpenUploads
from app.storage.s3.places import Places
from app.storage.s3.publishing import ATTEMPTS, PAUSE_SECONDS, Publisher
from app.storage.s3.rehearsal import rehearse
from app.storage.s3.upload import S3Upload, Workshop

_SENDERS = 16
_UNDERTAKERS = 4
_ASKERS = 4
_FOR_BATCHES = 16
_HELD_SHARE = 4
"""Of the memory for uploads one in so many bytes is for what batches keep until they are published."""
_LARGEST = 2**53
"""More than any object has bytes, and less than some store cannot read."""
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class S3Storage:
    """See `app.storage.base.Storage`."""

    plain_files = False
    usage = None

    def __init__(self, bucket: Bucket, public_client: Any, settings: S3Settings, *, read_only: bool) -> None:
        self.url = bucket.root.url
        self._bucket = bucket
        self._read_only = read_only
        self._places = Places(bucket)
        self._conditional = ConditionalWrites(bucket)
        self._uploads = OpenUploads(bucket, settings.s3_abandoned_upload_age)
        self.sweep_every = self._uploads.sweep_every
        askers = ThreadPoolExecutor(_ASKERS, thread_name_prefix="s3-askers")
        publisher = Publisher(bucket, self._places, self._uploads, self._conditional, askers)
        # Two parts find room whatever batches keep.
        held = max(0, settings.s3_upload_memory - 2 * settings.s3_part_size) // _HELD_SHARE
        self._workshop = Workshop(
            publisher,
            Budget(settings.s3_upload_memory - held),
            Budget(held),
            settings.s3_part_size,
            senders=ThreadPoolExecutor(_SENDERS, thread_name_prefix="s3-parts"),
            undertakers=ThreadPoolExecutor(_UNDERTAKERS, thread_name_prefix="s3-aborts"),
            batches=ThreadPoolExecutor(_FOR_BATCHES, thread_name_prefix="s3-batches"),
        )
        self.direct: S3Direct | None = None
        if bucket.can_be_presigned:
            self.direct = S3Direct(
                bucket,
                public_client,
                publisher,
                download_seconds=settings.s3_presigned_url_ttl,
                upload_seconds=settings.s3_abandoned_upload_age,
            )

    def stat(self, path: ArtifactPath) -> Entry:
        with translated(path):
            entry = None if path.is_root else self._places.current(path)
            entry = entry or self._directory_if_any(path)
        if entry is None:
            raise _not_found(path)
        return entry

    def _directory_if_any(self, path: ArtifactPath) -> Entry | None:
        if path.is_root or self._bucket.first(self._bucket.root.below(path), 1):
            return Entry(path, is_dir=True)
        return None

    def read(self, path: ArtifactPath, wanted: ByteRange | None = None) -> S3Download:
        with translated(path):
            if path.is_root:
                raise _is_directory(path)
            header = {} if wanted is None else {"Range": self._range(path, wanted)}
            try:
                answer = self._bucket.call("GetObject", Key=self._bucket.root.key(path), **header)
            except ClientError as error:
                if status(error) == 416:
                    raise RangeNotSatisfiable(self._artifact(path)) from None
                if status(error) != 404 or code(error) == "NoSuchBucket":
                    raise
                raise (_is_directory if self._directory_if_any(path) else _not_found)(path) from None
        return self._open_download(path, wanted, answer)

    def _artifact(self, path: ArtifactPath) -> Entry:
        """Raises `ArtifactNotFound` and `ArtifactIsDirectory`."""
        entry = self.stat(path)
        if entry.is_dir:
            raise _is_directory(path)
        return entry

    def _range(self, path: ArtifactPath, wanted: ByteRange) -> str:
        """The value of a Range header. Raises `RangeNotSatisfiable` for what no store need be asked."""
        first, last = wanted.first, wanted.last
        if (first is None and last == 0) or (first or 0) > _LARGEST:
            raise RangeNotSatisfiable(self._artifact(path))
        end = "" if last is None else min(last, _LARGEST)
        return f"bytes={'' if first is None else first}-{end}"

    def _open_download(self, path: ArtifactPath, wanted: ByteRange | None, answer: Any) -> S3Download:
        """From the answer to a GetObject, whose body it takes over."""
        try:
            entry, span = _content(path, answer)
            if wanted is not None and span != wanted.resolve(entry.size or 0):
                # An empty object has no range; some stores send it whole.
                if not entry.size:
                    raise RangeNotSatisfiable(entry)
                raise StorageMisbehaved(f"The storage gave another part of {str(path)!r} than was asked for.")
            return S3Download(self._bucket, entry, span, answer["Body"])
        except BaseException:
            answer["Body"].close()
            raise

    def read_at_once(self, path: ArtifactPath, wanted: ByteRange | None = None) -> None:
        """Never: a store is always waited for."""

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> S3Upload:
        with translated(path):
            publication = self._workshop.publisher.prepare(path, precondition)
        return S3Upload(self._workshop, path, size, publication)

    def batch(self) -> S3Batch:
        return S3Batch(self._workshop)

    def list(
        self,
        directory: ArtifactPath,
        *,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> Iterator[Entry]:
        with translated(directory):
            yield from (walk if recursive else level)(self._bucket, directory, after or "")

    def delete(self, path: ArtifactPath, *, precondition: Precondition = UNCONDITIONAL) -> None:
        with translated(path):
            try:
                if precondition == UNCONDITIONAL or not self._delete_artifact(path, precondition):
                    self._bucket.call("DeleteObject", Key=self._bucket.root.key(path))
                    if delete_tree(self._bucket, path):
                        prune(self._bucket, path)
            finally:
                self._places.changed(path)
            prune_parents(self._bucket, path)

    def _delete_artifact(self, path: ArtifactPath, precondition: Precondition) -> bool:
        """Deletes the artifact that meets the precondition; False if no artifact stands at the path."""
        for attempt in range(ATTEMPTS):
            time.sleep(PAUSE_SECONDS * attempt)
            current = self._places.current(path)
            if current is None:
                precondition.require(path, self._directory_if_any(path))
                return False
            precondition.require(path, current)
            self._conditional.require("DeleteObject")
            try:
                key = self._bucket.root.key(path)
                self._bucket.call("DeleteObject", Key=key, IfMatch=f'"{current.etag}"')
            except ClientError as error:
                if status(error) not in {404, 409, 412}:
                    raise
                continue  # somebody was quicker; judge anew
            return True
        raise StorageUnavailable(f"Others keep changing {str(path)!r}; try again later.")

    def check(self) -> None:
        with translated(ArtifactPath()):
            self._bucket.first(self._bucket.root.prefix, 1)

    def room(self) -> Room | None:
        return None

    def rehearse(self) -> Iterator[str]:
        with translated(ArtifactPath()):
            yield from rehearse(self._bucket, read_only=self._read_only)

    def sweep(self) -> int:
        if self._read_only:
            return 0
        with translated(ArtifactPath()):
            return self._uploads.sweep()

    def close(self) -> None:
        self._workshop.batches.shutdown()
        self._workshop.senders.shutdown()
        self._workshop.undertakers.shutdown()
        self._workshop.publisher.askers.shutdown()
        self._bucket.close()


def _content(path: ArtifactPath, answer: Any) -> tuple[Entry, Span]:
    """What a GetObject says it gives: the entry of the whole object, and the span of it."""
    length = answer["ContentLength"]
    match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
    if match is None and answer["ResponseMetadata"]["HTTPStatusCode"] == 206:
        raise StorageMisbehaved(f"The storage gave a part of {str(path)!r} without saying which.")
    start, size = (int(match[1]), int(match[2])) if match else (0, length)
    return object_entry(path, answer, size), Span(start, start + length)


def _not_found(path: ArtifactPath) -> ArtifactNotFound:
    return ArtifactNotFound(f"There is no artifact {str(path)!r}; list its directory to see what there is.")


def _is_directory(path: ArtifactPath) -> ArtifactIsDirectory:
    return ArtifactIsDirectory(
        f"The artifact path {str(path)!r} is a directory; list it, or name a file below it."
    )
