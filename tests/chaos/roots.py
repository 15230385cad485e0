"""The roots that replicas share: a directory, and a store with an interposer before it."""

from __future__ import annotations

import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.support.interposer import Interposer, interposing
from tests.support.interposer_actions import (
    Action,
    answer,
    cut_after_forwarding,
    cut_body,
    delay,
    forward,
    refuse,
)
from tests.support.interposer_exchange import Exchange
from tests.support.object_store import ObjectStore
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "some/root/"
OWN = ".artifact-proxy/"
ABANDONED_SECONDS = 3
_WRITES = {"PutObject", "UploadPart", "CompleteMultipartUpload", "DeleteObject", "DeleteObjects"}


class Root(ABC):
    name: str
    url: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    dies_with_server: bool
    """Whether what a server has begun is over when it is killed."""
    repeats: bool
    """Whether a write may take effect twice before it is answered."""
    pools: int
    """How many threads a server makes as it needs them, and keeps."""
    store_port: int | None = None
    faults: Mapping[str, Callable[[random.Random], None]] = {}
    """What may happen to the storage."""

    @abstractmethod
    def artifacts(self) -> dict[str, bytes]:
        """All of them, as they are found behind the servers' backs."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """What unfinished uploads have left."""

    @abstractmethod
    def calm(self) -> None:
        """Returns when no fault is to come, and nothing that a dead server asked of its store."""


class LocalRoot(Root):
    name = "local"
    dies_with_server = True
    repeats = False
    pools = 0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.url = str(directory)

    def artifacts(self) -> dict[str, bytes]:
        return {
            path: (self._directory / path).read_bytes() for path in self._files() if path[: len(OWN)] != OWN
        }

    def leftovers(self) -> list[str]:
        return [path for path in self._files() if path.startswith(OWN + "staging/")]

    def calm(self) -> None:
        """Nothing goes on without a server."""

    def _files(self) -> list[str]:
        found = (path for path in self._directory.rglob("*") if path.is_file())
        return [str(path.relative_to(self._directory)) for path in found]


class S3Root(Root):
    name = "s3"
    arguments = ("--s3-part-size", str(5 * 1024**2), "--s3-abandoned-upload-age", str(ABANDONED_SECONDS))
    dies_with_server = False
    repeats = True
    pools = 16 + 4 + 4  # those that send parts, abort uploads, and ask what became of one

    def __init__(self, store: ObjectStore, bucket: str, interposer: Interposer, direct: S3Client) -> None:
        self.url = f"s3://{bucket}/{PREFIX}"
        # One repetition at most is what the ledger reckons with.
        self.environment = store.environment(interposer.url) | {"AWS_MAX_ATTEMPTS": "2"}
        self.store_port = int(interposer.url.rpartition(":")[2])
        self._store = store
        self._bucket = bucket
        self._interposer = interposer
        self._direct = direct
        self._lock = threading.Lock()
        self._planned: list[tuple[set[str] | None, Action]] = []
        self._running = 0
        interposer.on(lambda _: True, self._act, times=None)
        self.faults = {
            "store slow": lambda chance: self._plan(chance, None, delay(chance.uniform(0.1, 0.8))),
            "store resets": lambda chance: self._plan(chance, None, refuse),
            "store throttles": lambda chance: self._plan(chance, None, answer(503)),
            "store's answer lost": lambda chance: self._plan(chance, _WRITES, cut_after_forwarding),
            "store's body cut": lambda chance: self._plan(chance, {"GetObject"}, cut_body(20)),
        }
        if store.process:
            self.faults |= {"store silent": self._silence}

    def _plan(self, chance: random.Random, operations: set[str] | None, action: Action) -> None:
        """The action for some of the next requests."""
        with self._lock:
            self._planned += [(operations, action)] * chance.randrange(1, 5)

    def _silence(self, chance: random.Random) -> None:
        assert self._store.process
        process = psutil.Process(self._store.process.pid)
        process.suspend()
        time.sleep(chance.uniform(0.1, 0.8))
        process.resume()

    def _act(self, exchange: Exchange) -> None:
        with self._lock:
            self._running += 1
            action = self._next(exchange.request.operation)
        try:
            action(exchange)
        finally:
            with self._lock:
                self._running -= 1

    def _next(self, operation: str) -> Action:
        for place, (operations, action) in enumerate(self._planned):
            if operations is None or operation in operations:
                del self._planned[place]
                return action
        return forward

    def calm(self) -> None:
        with self._lock:
            self._planned.clear()
        wait_until(lambda: not self._running, "the store has answered all")
        self._interposer.clear()

    def artifacts(self) -> dict[str, bytes]:
        return {
            key: self._direct.get_object(Bucket=self._bucket, Key=PREFIX + key)["Body"].read()
            for key in self._keys()
            if not key.startswith(OWN)
        }

    def leftovers(self) -> list[str]:
        """Uploads without parts hold nothing: a server killed before it records one cannot help that."""
        uploads = self._direct.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])
        named = [(upload["Key"], upload["UploadId"]) for upload in uploads]
        return [key for key in self._keys() if key.startswith(OWN)] + [
            f"upload {upload_id} to {key}" for key, upload_id in named if self._has_parts(key, upload_id)
        ]

    def _has_parts(self, key: str, upload_id: str) -> bool:
        try:
            answer = self._direct.list_parts(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except self._direct.exceptions.NoSuchUpload:
            return False  # it was swept this moment
        return bool(answer.get("Parts"))

    def _keys(self) -> list[str]:
        """Without the directories that some stores list."""
        pages = self._direct.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)
        found = [one["Key"] for page in pages for one in page.get("Contents", [])]
        return [key.removeprefix(PREFIX) for key in found if not key.endswith("/")]


@contextmanager
def s3_root(store: ObjectStore, bucket: str) -> Iterator[S3Root]:
    with interposing(store.url) as interposer, closing(store.client()) as direct:
        yield S3Root(store, bucket, interposer, direct)
