"""A server over a root in a real store, with the interposer between, for all promises."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.object_store import ObjectStore
from tests.support.s3_front import Front, fronted_alone


@pytest.fixture(scope="session")
def shared_front(
    object_store: ObjectStore, client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    with fronted_alone(object_store, client, tmp_path_factory.mktemp("front")) as started:
        yield started


@pytest.fixture
def front(shared_front: Front) -> Iterator[Front]:
    """The one that tests share, each below its own `folder`, without rules and requests of another test."""
    shared_front.interposer.clear()
    yield shared_front
    shared_front.interposer.forget_rules()
