"""Fixtures with real S3 servers, which start with the first test that asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import httpx
import pytest
from botocore.loaders import JSONFileLoader

from tests.support.object_store import ObjectStore, given, moto, seaweedfs
from tests.support.s3_chain import Chain, chained
from tests.support.s3_front import Front, fronted


@pytest.fixture(scope="session", autouse=True)
def models_read_once() -> Iterator[None]:
    """Each new session of botocore parses a megabyte of JSON, which is a quarter of what many tests do."""
    load = cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(JSONFileLoader, "load_file", lambda self, path: load(path))
        yield


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """The store that TEST_S3_ENDPOINT_URL names, or else SeaweedFS."""
    named = given()
    if named:
        yield named
        return
    with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as started:
        yield started


@pytest.fixture(scope="session")
def second_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """moto, another implementation of S3."""
    with moto(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def bucket(object_store: ObjectStore) -> Iterator[str]:
    """The name of a new bucket of `object_store`, which is this test's own."""
    name = object_store.make_bucket()
    yield name
    object_store.remove_bucket(name)


@pytest.fixture(scope="session")
def shared_bucket(object_store: ObjectStore) -> Iterator[str]:
    """A bucket in which each test has its own prefix."""
    name = object_store.make_bucket()
    yield name
    object_store.remove_bucket(name)


@pytest.fixture(scope="session")
def second_bucket(second_store: ObjectStore) -> Iterator[str]:
    """The like of `shared_bucket` in the second store."""
    name = second_store.make_bucket()
    yield name
    second_store.remove_bucket(name)


@pytest.fixture
def second_chain(second_store: ObjectStore) -> Iterator[Chain]:
    """A root in the second store, in a bucket that is this test's own."""
    name = second_store.make_bucket()
    with chained(second_store, name) as opened:
        yield opened
    second_store.remove_bucket(name)


@pytest.fixture(scope="session")
def shared_front(
    object_store: ObjectStore, client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """A server over a root in `object_store`, in a bucket of its own, with the interposer between."""
    bucket = object_store.make_bucket()
    with fronted(object_store, bucket, client, tmp_path_factory.mktemp("front") / "log") as started:
        yield started
    object_store.remove_bucket(bucket)


@pytest.fixture
def front(shared_front: Front) -> Iterator[Front]:
    """The one that tests share, each below its own `folder`, without rules and requests of another test."""
    shared_front.interposer.clear()
    yield shared_front
    shared_front.interposer.forget_rules()
