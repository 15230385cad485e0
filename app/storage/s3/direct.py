"""Bytes between clients and the store by presigned URLs; see `app.storage.base.DirectTransfers`."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from app.errors import InvalidRequest, StorageUnavailable, UploadNotFound
from app.media_types import media_type
from app.paths import ArtifactPath
from app.storage.base import MultipartUpload, UploadedPart
from app.storage.entry import Entry
from app.storage.s3.bucket import Bucket, code
from app.storage.s3.failures import translated
from app.storage.s3.multipart import OpenUpload
from app.storage.s3.publishing import Publisher, carries

_BAD_PARTS = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML", "InvalidArgument"}


class S3Direct:
    def __init__(
        self, bucket: Bucket, client: Any, publisher: Publisher, *, download_seconds: int, upload_seconds: int
    ) -> None:
        """`client` has the address under which clients reach the store; nothing is sent with it."""
        self._bucket = bucket
        self._client = client
        self._publisher = publisher
        self._download_seconds = download_seconds
        self._upload_seconds = upload_seconds
        self._signing = Lock()
        """One upload's parts at a time: thousands take seconds of processor, which others need as well."""

    def download(self, entry: Entry, disposition: str) -> str:
        parameters = {
            "Key": self._bucket.root.key(entry.path),
            "ResponseContentDisposition": disposition,
            "ResponseContentType": media_type(entry.path.name),
        }
        with translated(entry.path):
            return self._presigned("get_object", parameters, self._download_seconds)

    def begin(self, path: ArtifactPath, parts: int) -> MultipartUpload:
        with translated(path):
            upload = self._publisher.prepare(path).begin(parts)
            try:
                return MultipartUpload(upload.upload_id, self._part_urls(upload, parts))
            except BaseException:
                self._publisher.uploads.abort(upload)
                raise

    def _part_urls(self, upload: OpenUpload, parts: int) -> list[str]:
        parameters = {"Key": self._bucket.root.key(upload.path), "UploadId": upload.upload_id}
        with self._signing:
            return [
                self._presigned("upload_part", parameters | {"PartNumber": number}, self._upload_seconds)
                for number in range(1, parts + 1)
            ]

    def complete(self, path: ArtifactPath, upload_id: str, parts: Sequence[UploadedPart]) -> None:
        with translated(path):
            upload = self._find(path, upload_id)
            _require_all(parts, upload)
            sent = [(("ETag", f'"{part.etag.strip(chr(34))}"'),) for part in parts]
            try:
                self._publisher.prepare(path, token=upload.token).complete(upload, sent)
            except ClientError as error:
                if code(error) == "NoSuchUpload":
                    raise _not_found(path) from None
                if code(error) in _BAD_PARTS:
                    raise InvalidRequest(
                        f"The storage does not take these parts for {str(path)!r} ({code(error)}); each must "
                        "have been uploaded, have the ETag that the storage gave, and all but the last 5 MiB "
                        "or more."
                    ) from None
                raise

    def abort(self, path: ArtifactPath, upload_id: str) -> None:
        with translated(path):
            upload = self._find(path, upload_id)
            if not self._publisher.uploads.abort(upload):
                raise StorageUnavailable(
                    f"The upload to {str(path)!r} could not be aborted yet; try again later."
                )
            if self._is_stored(upload):
                raise _not_found(path)  # a completion at the same moment has won

    def _is_stored(self, upload: OpenUpload) -> bool:
        """Whether it has become the artifact. Some stores abort what is completed without a word."""
        answer = self._bucket.head(upload.path)
        return answer is not None and carries(answer, upload.token)

    def _find(self, path: ArtifactPath, upload_id: str) -> OpenUpload:
        try:
            upload = self._publisher.uploads.find(path, upload_id)
        except ValueError:
            upload = None
        if upload is None or upload.parts is None:
            raise _not_found(path)
        return upload

    def _presigned(self, method: str, parameters: dict[str, Any], seconds: int) -> str:
        url: str = self._client.generate_presigned_url(
            method, Params={"Bucket": self._bucket.root.bucket, **parameters}, ExpiresIn=seconds
        )
        return url


def _require_all(parts: Sequence[UploadedPart], upload: OpenUpload) -> None:
    numbers = [part.number for part in parts]
    if numbers != list(range(1, (upload.parts or 0) + 1)):
        raise InvalidRequest(
            f"The parts of {str(upload.path)!r} must be all from 1 to {upload.parts}, each once, in this "
            "order."
        )


def _not_found(path: ArtifactPath) -> UploadNotFound:
    return UploadNotFound(
        f"There is no open multipart upload of this upload_id to {str(path)!r}; it may be completed or "
        "aborted already, or it was never begun here."
    )
