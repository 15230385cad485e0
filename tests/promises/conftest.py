"""A server over a root in a real store, with the interposer between, for all promises."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.object_store import ObjectStore
from tests.support.s3_front import Front, fronted


@pytest.fixture(scope="session")
def shared_front(
    object_store: ObjectStore, client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    bucket = object_store.make_bucket()
    log_file = tmp_path_factory.mktemp("front") / "log"
    with fronted(object_store, bucket, client, log_file) as started:
        yield started
    object_store.remove_bucket(bucket)


@pytest.fixture
def front(shared_front: Front) -> Iterator[Front]:
    """The one that tests share, each below its own `folder`, without rules and requests of another test."""
    shared_front.interposer.clear()
    yield shared_front
    shared_front.interposer.forget_rules()
