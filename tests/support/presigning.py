"""Transfers past the server as clients go about them, and the store where they end, seen from behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from tests.support.interposer import Interposer
from tests.support.object_store import ObjectStore
from tests.support.server import Address

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
FIRST = bytes(range(256)) * (5 * MIB // 256)
"""The smallest that a part may be which is not the last."""
LAST = b"and the rest"
UPLOAD_SECONDS = "86400"
REDIRECT_ABOVE = 1000
EXTRA = {"Metadata": {"team": "vision"}, "CacheControl": "no-transform"}

Part = dict[str, Any]


@dataclass(frozen=True)
class Foreign:
    """A multipart upload that was begun straight at the store."""

    client: S3Client
    bucket: str
    key: str
    upload_id: str

    def upload_part(self, number: int, content: bytes) -> str:
        return self.client.upload_part(
            Bucket=self.bucket, Key=self.key, UploadId=self.upload_id, PartNumber=number, Body=content
        )["ETag"]

    def sizes(self) -> list[int]:
        """Of the parts that the store has."""
        listed = self.client.list_parts(Bucket=self.bucket, Key=self.key, UploadId=self.upload_id)
        return [part["Size"] for part in listed["Parts"]]

    def abort(self) -> None:
        self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=self.upload_id)


@dataclass(frozen=True)
class Place:
    """A bucket, and the two ways to its store."""

    store: ObjectStore
    bucket: str
    client: S3Client
    private: Interposer
    """Where the server reaches the store."""
    public: Interposer
    """Where its clients do."""

    @property
    def environment(self) -> dict[str, str]:
        return self.store.environment(self.private.url)

    def root(self, prefix: str = "root") -> str:
        return f"s3://{self.bucket}/{prefix}"

    def begin_by_hand(self, key: str) -> Foreign:
        """An upload of somebody else's, who knows nothing of the server."""
        upload_id = self.client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        return Foreign(self.client, self.bucket, key, upload_id)

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return [key for key in keys if not key.endswith("/")]

    def open_uploads(self, prefix: str) -> list[str]:
        """The keys of multipart uploads that nobody has completed."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket)
        keys = [each["Key"] for page in pages for each in page.get("Uploads", [])]
        return sorted(key for key in keys if key.startswith(prefix))

    def records(self, prefix: str = "root") -> set[str]:
        """What the server keeps of uploads that are not over."""
        return set(self.keys(f"{prefix}/.artifact-proxy/uploads/"))


class Multipart:
    """An upload as a client goes about it."""

    def __init__(
        self, server: Address, client: httpx.Client, directory: str, name: str = "model.bin", parts: int = 2
    ) -> None:
        self.base = f"{server.mlflow}/mpu"
        self.directory = directory
        self.name = name
        self._client = client
        self.created = self.post("create", {"path": f"some/where/{name}", "num_parts": parts})
        answered = self.created.json()
        self.upload_id: str = answered.get("upload_id", "")
        self.urls: list[str] = [each["url"] for each in answered.get("credentials", [])]

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.name}".removeprefix("/")

    @property
    def key(self) -> str:
        return f"root/{self.path}"

    def post(self, step: str, body: object) -> httpx.Response:
        return self._client.post(f"{self.base}/{step}/{quote(self.directory)}", json=body)

    def send(self, *contents: bytes) -> list[Part]:
        """Puts the parts where the server said; gives what completion wants to know of them."""
        parts = []
        for number, (url, content) in enumerate(zip(self.urls, contents, strict=True), 1):
            stored = self._client.put(url, content=content)
            assert stored.status_code == 200, stored.text
            parts.append({"part_number": number, "etag": stored.headers["etag"], "url": url})
        return parts

    def complete(self, parts: object, upload_id: str | None = None) -> httpx.Response:
        upload_id = self.upload_id if upload_id is None else upload_id
        return self.post("complete", {"path": self.name, "upload_id": upload_id, "parts": parts})

    def abort(self, upload_id: str | None = None) -> httpx.Response:
        upload_id = self.upload_id if upload_id is None else upload_id
        return self.post("abort", {"path": self.name, "upload_id": upload_id})


Begin = Callable[..., Multipart]
ContentOf = Callable[[Multipart], bytes | None]
Left = Callable[[], list[str]]


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def presigned(server: Address, client: httpx.Client, path: str) -> str:
    url: str = client.get(f"{server.mlflow}/presigned/{path}").raise_for_status().json()["url"]
    return url
