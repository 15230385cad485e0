"""An artifact root in a real store, with the interposer between, and a view of it past the interposer."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

from app.storage import registry
from app.storage.base import Storage
from app.storage.s3 import S3Settings
from tests.support.interposer import Interposer, interposing
from tests.support.object_store import ObjectStore

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1024 * 1024
PART = 5 * MIB
"""The smallest part that S3 has, and the size of parts here."""
PREFIX = "some/root/"
RECORDS = ".artifact-proxy/uploads/"


@dataclass
class Chain:
    store: ObjectStore
    bucket: str
    interposer: Interposer
    storage: Storage
    """It speaks to the interposer."""
    direct: S3Client
    """It speaks to the store."""

    def keys(self) -> list[str]:
        """Of all objects below the root, relative to it."""
        pages = self.direct.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX)
        return [found["Key"][len(PREFIX) :] for page in pages for found in page.get("Contents", [])]

    def artifacts(self) -> dict[str, bytes]:
        return {
            key: self.direct.get_object(Bucket=self.bucket, Key=PREFIX + key)["Body"].read()
            for key in self.keys()
            if not key.startswith(".artifact-proxy/") and not key.endswith("/")
        }

    def open_uploads(self) -> list[str]:
        """The upload ids of multipart uploads that are not finished."""
        listed = self.direct.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return [upload["UploadId"] for upload in listed]

    def own(self) -> list[str]:
        """What the server keeps for itself: records of uploads, and probes."""
        return [key for key in self.keys() if key.startswith(".artifact-proxy/") and not key.endswith("/")]

    def leftovers(self) -> list[str]:
        return self.open_uploads() + self.own()


@contextmanager
def chained(
    store: ObjectStore,
    bucket: str,
    *,
    attempts: int = 1,
    tls: ssl.SSLContext | None = None,
    **settings: object,
) -> Iterator[Chain]:
    """`attempts` is how often the client library sends a request that fails; by itself it takes three."""
    with (
        interposing(store.url, tls) as interposer,
        closing(store.client()) as direct,
        closing(opened(store, interposer.url, bucket, attempts=attempts, **settings)) as storage,
    ):
        try:
            yield Chain(store, bucket, interposer, storage, direct)
        finally:
            interposer.forget_rules()


def opened(store: ObjectStore, url: str, bucket: str, *, attempts: int = 1, **settings: object) -> Storage:
    """The storage over s3://bucket/some/root with the store at `url`."""
    values = {"s3_endpoint_url": url, "s3_part_size": PART} | settings
    variables = store.environment(url) | {"AWS_MAX_ATTEMPTS": str(attempts)}
    with patch.dict(os.environ, variables):
        return registry.open_storage(
            f"s3://{bucket}/{PREFIX}", S3Settings.model_validate(values), read_only=False, prepare=True
        )
