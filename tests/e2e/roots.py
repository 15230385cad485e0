"""The artifact roots of proxies, read and changed behind their backs: one class for each kind of storage."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OWN = ".artifact-proxy"
"""Below this the server keeps what is no artifact."""


class Root(ABC):
    """Paths are those of artifacts, without a slash at either end."""

    location: Path | str
    """As a server is told of it."""
    environment: Mapping[str, str]
    """What a server needs besides, to use it."""

    @abstractmethod
    def names(self) -> set[str]:
        """The paths of all artifacts, and of those directories that are there by themselves."""

    @abstractmethod
    def read(self, path: str) -> bytes: ...

    @abstractmethod
    def sha256(self, path: str) -> bytes:
        """Of an artifact that may be too large for the memory."""

    @abstractmethod
    def put(self, path: str, content: bytes) -> None: ...

    @abstractmethod
    def remove(self, path: str) -> None:
        """Deletes one artifact."""

    @abstractmethod
    def _artifacts(self) -> list[str]: ...

    def tree(self, directory: str = "") -> dict[str, bytes]:
        """Every artifact below `directory`, by its path there."""
        prefix = f"{directory}/" if directory else ""
        return {
            path.removeprefix(prefix): self.read(path)
            for path in self._artifacts()
            if path.startswith(prefix) and path.partition("/")[0] != OWN
        }


class LocalRoot(Root):
    def __init__(self, directory: Path) -> None:
        self.location = self._directory = directory
        self.environment = {}

    def names(self) -> set[str]:
        return {str(path.relative_to(self._directory)) for path in self._directory.rglob("*")}

    def _artifacts(self) -> list[str]:
        return sorted(name for name in self.names() if (self._directory / name).is_file())

    def read(self, path: str) -> bytes:
        return (self._directory / path).read_bytes()

    def sha256(self, path: str) -> bytes:
        with (self._directory / path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def put(self, path: str, content: bytes) -> None:
        (self._directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self._directory / path).write_bytes(content)

    def remove(self, path: str) -> None:
        (self._directory / path).unlink()


class S3Root(Root):
    def __init__(self, store: ObjectStore, bucket: str, prefix: str, client: S3Client) -> None:
        self.location = f"s3://{bucket}/{prefix}"
        self.environment = store.environment()
        self.bucket = bucket
        self._prefix = f"{prefix}/"
        self._client = client

    def key(self, path: str) -> str:
        return self._prefix + path

    def names(self) -> set[str]:
        return set(self._keys())

    def _artifacts(self) -> list[str]:
        return [key for key in self._keys() if not key.endswith("/")]

    def _keys(self) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._prefix
        )
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        return [key.removeprefix(self._prefix) for key in keys if key != self._prefix]

    def read(self, path: str) -> bytes:
        return self._client.get_object(Bucket=self.bucket, Key=self.key(path))["Body"].read()

    def sha256(self, path: str) -> bytes:
        digest = hashlib.sha256()
        body = self._client.get_object(Bucket=self.bucket, Key=self.key(path))["Body"]
        for chunk in body.iter_chunks(1024 * 1024):
            digest.update(chunk)
        return digest.digest()

    def put(self, path: str, content: bytes) -> None:
        self._client.put_object(Bucket=self.bucket, Key=self.key(path), Body=content)

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self.bucket, Key=self.key(path))

    def unfinished(self) -> list[str]:
        """The keys of open multipart uploads, and of the server's own objects."""
        uploads = self._client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        own = [key for key in self._keys() if key.startswith(f"{OWN}/") and not key.endswith("/")]
        return [upload["Key"] for upload in uploads] + own
