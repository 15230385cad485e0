"""Every backend over an artifact root of its own, with a view of it behind its back; and single ones."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.storage import s3
from app.storage.base import Storage
from app.storage.local import LocalSettings, LocalStorage, open_storage
from app.storage.observed import ObservedStorage
from app.storage.s3 import S3Settings
from tests.support.interposer import Interposer, interposing
from tests.support.object_store import ObjectStore
from tests.support.s3_credentials import KEYS
from tests.support.s3_variables import without


class Store(ABC):
    """A backend under test, with raw access that goes around it."""

    storage: Storage

    @abstractmethod
    def raw(self) -> dict[str, bytes]:
        """Every artifact in the store by its path."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """What unfinished uploads have put into the store."""

    @abstractmethod
    def another(self) -> Storage:
        """Another server's storage over the same root."""

    @abstractmethod
    def put_foreign(self) -> set[str]:
        """Puts things into the store that are no artifacts, below foreign/; gives their names."""


def opened(root: Path | str, *, read_only: bool = False, **settings: object) -> LocalStorage:
    return open_storage(str(root), LocalSettings.model_validate(settings), read_only=read_only)


class LocalStore(Store):
    def __init__(self, root: Path, durability: str) -> None:
        self.root = root
        self.storage: Storage = opened(root, durability=durability)

    def raw(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_relative_to(self.root / ".artifact-proxy")
        }

    def leftovers(self) -> list[str]:
        staging = self.root / ".artifact-proxy" / "staging"
        return [path.name for path in staging.iterdir()] if staging.exists() else []

    def another(self) -> Storage:
        return opened(self.root)

    def put_foreign(self) -> set[str]:
        directory = self.root / "foreign"
        directory.mkdir()
        (directory / "target").write_bytes(b"x")
        (directory / "link").symlink_to("target")
        (directory / "line\nbreak").write_bytes(b"x")
        (directory / "back\\..\\slash").write_bytes(b"x")
        (directory / ".artifact-proxy-mine").write_bytes(b"x")
        (directory / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"x")
        os.mkfifo(directory / "fifo")
        (directory / "target").rename(self.root / "target")
        return set(os.listdir(directory))


class S3Store(Store):
    def __init__(self, object_store: ObjectStore, bucket: str, **settings: object) -> None:
        self.object_store = object_store
        self.bucket = bucket
        self.client = object_store.client()
        self._settings = S3Settings.model_validate(SMALL | settings)
        self.storage: Storage = self.another()

    def raw(self) -> dict[str, bytes]:
        return {
            key: self.client.get_object(Bucket=self.bucket, Key=f"some/root/{key}")["Body"].read()
            for key in self._keys()
            if not key.startswith(".artifact-proxy") and not key.endswith("/")
        }

    def leftovers(self) -> list[str]:
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        own = [key for key in self._keys() if key.startswith(".artifact-proxy")]
        return [upload["Key"] for upload in uploads] + own

    def another(self) -> Storage:
        return s3.open_storage(f"s3://{self.bucket}/some/root", self._settings, read_only=False)

    def put_foreign(self) -> set[str]:
        names = {"line\nbreak", "back\\..\\slash", ".artifact-proxy-mine", ".."}
        for key in [*sorted(names), "", "/", "/absolute"]:
            with suppress(self.client.exceptions.ClientError):
                self.client.put_object(Bucket=self.bucket, Key=f"some/root/foreign/{key}", Body=b"x")
                if f"foreign/{key}" not in self._keys():  # not every store has such keys
                    self.client.delete_object(Bucket=self.bucket, Key=f"some/root/foreign/{key}")
        return names

    def _keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="some/root/")
        return [found["Key"][len("some/root/") :] for page in pages for found in page.get("Contents", [])]


SMALL = {"s3_part_size": 5 * 1024 * 1024, "s3_upload_memory": 1024 * 1024 * 1024}
"""The smallest parts that S3 has, and room for as many uploads at once as the contract tests begin."""


LARGE = bytes(range(256)) * 4096 * 5  # 5 MiB: several chunks

_JOINED = "moto judges no condition where parts are put together"
LIMITS = {
    "s3-second": {
        "test_a_replacement_of_one_version_never_outlives_the_deletion_of_its_tree": (
            "moto judges If-Match and then stores, so that a deletion may come between the two"
        ),
        "test_create_only_holds_when_it_is_published": _JOINED,
        "test_of_one_version_holds_when_it_is_published": _JOINED,
        "test_of_many_batches_that_create_one_artifact_exactly_one_succeeds": _JOINED,
    }
}
"""What a store under test cannot do, by test, and why: no backend could make up for it."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    beyond = [item for item in items if _is_beyond_its_store(item)]
    config.hook.pytest_deselected(items=beyond)
    items[:] = [item for item in items if item not in beyond]


def _is_beyond_its_store(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    store = callspec.params.get("store") if callspec else None
    return getattr(item, "originalname", "") in LIMITS.get(str(store), {})


@pytest.fixture(params=["local", "local-none", "local-observed", "s3", "s3-second"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    under_test: Store
    if request.param.startswith("local"):
        under_test = LocalStore(tmp_path / "root", "full" if request.param == "local" else "none")
        if request.param == "local-observed":
            under_test.storage = ObservedStorage(under_test.storage)
    else:
        fixture = "object_store" if request.param == "s3" else "second_store"
        object_store: ObjectStore = request.getfixturevalue(fixture)
        environment = object_store.environment()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket = object_store.make_bucket()
        request.addfinalizer(lambda: object_store.remove_bucket(bucket))  # noqa: PT021 - only here is a bucket
        under_test = S3Store(object_store, bucket, s3_endpoint_url=object_store.url)
    yield under_test
    under_test.storage.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return opened(root)


@pytest.fixture
def shared_root(shared_bucket: str, folder: str) -> str:
    """A root in S3 that is this test's own."""
    return f"s3://{shared_bucket}/{folder}"


@pytest.fixture
def second_root(second_bucket: str, folder: str) -> str:
    return f"s3://{second_bucket}/{folder}"


@pytest.fixture
def wire(object_store: ObjectStore) -> Iterator[Interposer]:
    """Before SeaweedFS, which judges signatures."""
    with interposing(object_store.url) as interposer:
        yield interposer


@pytest.fixture
def second_wire(second_store: ObjectStore) -> Iterator[Interposer]:
    """Before moto, which takes whatever S3 itself takes."""
    with interposing(second_store.url) as interposer:
        yield interposer


@pytest.fixture
def variables(object_store: ObjectStore, wire: Interposer) -> dict[str, str]:
    """What it takes to reach the store by way of `wire`."""
    return object_store.environment(wire.url)


@pytest.fixture
def second_variables(second_store: ObjectStore, second_wire: Interposer) -> dict[str, str]:
    """What it takes to reach moto by way of `second_wire`."""
    return second_store.environment(second_wire.url)


@pytest.fixture
def second_keyless(second_variables: dict[str, str]) -> dict[str, str]:
    """What it takes to reach moto, which takes any credentials, but for those."""
    return without(second_variables, *KEYS)
