"""A server over a root in a real store, with the interposer between the two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tests.support.interposer import Interposer, interposing
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
    with (
        interposing(store.url) as interposer,
        _started(store, bucket, interposer, log_file, arguments, attempts) as server,
        closing(store.client()) as direct,
        closing(opened(store, store.url, bucket)) as storage,
    ):
        try:
            yield Front(store, bucket, interposer, storage, direct, server, client)
        finally:
            interposer.forget_rules()


@contextmanager
def impatient(front: Front, log_file: Path, *arguments: str) -> Iterator[Front]:
    """Another server over the same root, behind the same interposer, which gives a silent store up soon.

    It is for what is never answered: whoever waits for an answer, on a busy machine, asks `front` itself.
    """
    flags = ("--s3-timeout", "2", *arguments)
    with _started(front.store, front.bucket, front.interposer, log_file, flags) as server:
        yield replace(front, server=server)


def _started(
    store: ObjectStore,
    bucket: str,
    interposer: Interposer,
    log_file: Path,
    arguments: Sequence[str],
    attempts: int = 1,
) -> AbstractContextManager[Server]:
    environment = store.environment(interposer.url) | {"AWS_MAX_ATTEMPTS": str(attempts)}
    flags = ("--s3-part-size", str(PART), *arguments)
    return running(f"s3://{bucket}/{PREFIX}", *flags, environment=environment, log_file=log_file)
