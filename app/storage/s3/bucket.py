"""The requests to one bucket: whatever is the same in all of them is put in here."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import md5
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from app.errors import StorageMisbehaved
from app.paths import ArtifactPath
from app.storage.s3.get_object import GetObject
from app.storage.s3.root import S3Root

# What has to be said again to read what was uploaded with it.
_SAID_AGAIN = {"SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5"}
# What holds for the server's own objects too, which are neither archived nor locked nor tagged.
_FOR_OURS = _SAID_AGAIN | {"ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext"}
# Without which an answer is none, but perhaps the page of some proxy.
_ESSENTIAL = {
    "GetObject": {"ContentLength", "ETag"},
    "HeadObject": {"ContentLength", "ETag"},
    "ListObjectsV2": {"IsTruncated"},
    "PutObject": {"ETag"},
    "CreateMultipartUpload": {"UploadId"},
    "UploadPart": {"ETag"},
    "CompleteMultipartUpload": {"ETag"},
}
# What whoever sends a request says itself.
_SAID_BY_CLIENTS = _SAID_AGAIN | {"RequestPayer", "ChecksumAlgorithm"}


class Bucket:
    """Raises what botocore raises; `failures.translated` is for the callers."""

    def __init__(self, client: Any, root: S3Root, owner: str, upload_arguments: Mapping[str, Any]) -> None:
        self.root = root
        self.client = client
        self._get_object = GetObject(client)
        self._owner = owner
        self._upload_arguments = upload_arguments

    @property
    def can_be_presigned(self) -> bool:
        """Whether a client needs nothing but a URL: no customer's key, no further headers."""
        return not self._upload_arguments.keys() & _SAID_BY_CLIENTS

    def call(self, operation: str, **parameters: Any) -> Any:
        """One operation of S3 by its name in the API reference, with its parameters there."""
        if "Body" in parameters:
            parameters["ContentMD5"] = content_md5(parameters["Body"])
        method = self._get_object if operation == "GetObject" else getattr(self.client, xform_name(operation))
        try:
            answer = method(**self._standing(operation), **parameters)
        except (ArithmeticError, LookupError, RuntimeError, ValueError):  # a date or number that is none
            raise _senseless() from None
        if not _ESSENTIAL.get(operation, set()) <= answer.keys():
            raise _senseless()
        return answer

    def upload_call(self, operation: str, **parameters: Any) -> Any:
        """`call` for what stores an artifact: what the operator wants of uploads takes precedence."""
        return self._call_with(self._upload_arguments, operation, parameters)

    def own_call(self, operation: str, **parameters: Any) -> Any:
        """`call` for what stores something of the server's own: kept as secret as artifacts are."""
        wanted = {name: value for name, value in self._upload_arguments.items() if name in _FOR_OURS}
        return self._call_with(wanted, operation, parameters)

    def _call_with(self, arguments: Mapping[str, Any], operation: str, parameters: Mapping[str, Any]) -> Any:
        wanted = self._known(operation, arguments)
        metadata = {**wanted.get("Metadata", {}), **parameters.get("Metadata", {})}
        if metadata:
            wanted["Metadata"] = metadata
        # Said by `call` already.
        wanted.pop("RequestPayer", None)
        return self.call(operation, **{**parameters, **wanted})

    def pages(
        self, prefix: str, *, delimiter: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Any]:
        """The answers of ListObjectsV2, page by page."""
        parameters: dict[str, Any] = {"Prefix": prefix}
        if delimiter:
            parameters["Delimiter"] = delimiter
        if after:
            parameters["StartAfter"] = prefix + after
        if limit is not None:
            parameters["MaxKeys"] = limit
        while True:
            page = self.call("ListObjectsV2", **parameters)
            if not all(key is not None and key.startswith(prefix) for key in _listed(page)):
                raise _senseless()
            if not all("Size" in found for found in page.get("Contents", ())):
                raise _senseless()
            yield page
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token == parameters.get("ContinuationToken"):
                raise StorageMisbehaved("The storage broke a listing off without saying how to go on.")
            parameters["ContinuationToken"] = token

    def head(self, path: ArtifactPath) -> Any | None:
        """What HeadObject tells of the artifact at `path`, None if there is none."""
        try:
            return self.call("HeadObject", Key=self.root.key(path))
        except ClientError as error:
            if status(error) == 404:
                return None
            raise

    def first(self, prefix: str, count: int) -> list[Mapping[str, Any]]:
        """At most `count` objects whose keys begin with `prefix`, as ListObjectsV2 tells of them."""
        return list(next(self.pages(prefix, limit=count)).get("Contents", ()))

    def close(self) -> None:
        self.client.close()

    def _standing(self, operation: str) -> dict[str, Any]:
        parameters: dict[str, Any] = {"Bucket": self.root.bucket}
        standing = {name: value for name, value in self._upload_arguments.items() if name == "RequestPayer"}
        if self._owner:
            standing["ExpectedBucketOwner"] = self._owner
        if operation in {"GetObject", "HeadObject"}:
            standing |= {name: value for name, value in self._upload_arguments.items() if name in _SAID_AGAIN}
        return parameters | self._known(operation, standing)

    def _known(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        members = self.client.meta.service_model.operation_model(operation).input_shape.members
        return {name: value for name, value in arguments.items() if name in members}


def _listed(page: Any) -> Iterator[str | None]:
    """The keys and prefixes in one answer of ListObjectsV2."""
    yield from (found.get("Key") for found in page.get("Contents", ()))
    yield from (found.get("Prefix") for found in page.get("CommonPrefixes", ()))


def is_marker(found: Mapping[str, Any], below: str) -> bool:
    """Whether it is the empty object that stands for the directory whose keys begin with `below`."""
    return found["Key"] == below and found.get("Size") == 0


def _senseless() -> StorageMisbehaved:
    return StorageMisbehaved("The storage gave an answer that makes no sense; is it a store at all?")


def content_md5(data: bytes | bytearray) -> str:
    """For the header of that name, which every store checks; not all check what requests are signed with."""
    return b64encode(md5(data, usedforsecurity=False).digest()).decode()


def status(error: ClientError) -> int:
    found: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return found


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
