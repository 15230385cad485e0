"""A server over a root in a real store, with the interposer between the two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.interposer import interposing
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import PART, PREFIX, Chain, opened
from tests.support.server import Server, running


@dataclass
class Front(Chain):
    server: Server
    client: httpx.Client

    def url(self, path: str) -> str:
        return f"{self.server.native}/{path}"

    def put(self, path: str, data: bytes, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.put(self.url(path), content=data, headers=names)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.url(path))


@contextmanager
def fronted(
    store: ObjectStore, bucket: str, client: httpx.Client, log_file: Path, *arguments: str, attempts: int = 1
) -> Iterator[Front]:
    """A server over s3://bucket/some/root. See `s3_chain.chained`."""
    flags = ("--s3-part-size", str(PART), *arguments)
    with interposing(store.url) as interposer:
        environment = store.environment(interposer.url) | {"AWS_MAX_ATTEMPTS": str(attempts)}
        root = f"s3://{bucket}/{PREFIX}"
        with (
            running(root, *flags, environment=environment, log_file=log_file) as server,
            closing(store.client()) as direct,
            closing(opened(store, store.url, bucket)) as storage,
        ):
            try:
                yield Front(store, bucket, interposer, storage, direct, server, client)
            finally:
                interposer.forget_rules()
