"""A browser, and servers whose pages it visits; each is started once for all of these tests.

The scope is the package, not the session: as long as playwright runs, no other test of this process
could run an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Browser

from tests.e2e.conftest import Proxy
from tests.e2e.roots import LocalRoot, S3Root
from tests.support.chromium import Complaints, Visitor, chromium, visiting
from tests.support.object_store import ObjectStore
from tests.support.server import running

BACKENDS = ("local", "s3")


@pytest.fixture(scope="package")
def browser(need: Callable[[str], str]) -> Iterator[Browser]:
    with chromium(need("chromium")) as started:
        yield started


@pytest.fixture
def complaints() -> Complaints:
    """What the test expects to go wrong in the browser is said here; all else fails it."""
    return Complaints()


@pytest.fixture
def visitor(browser: Browser, complaints: Complaints) -> Iterator[Visitor]:
    with visiting(browser, complaints) as arrived:
        yield arrived


@pytest.fixture(scope="package")
def local_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A server with default settings, and its root."""
    root = LocalRoot(tmp_path_factory.mktemp("browser") / "root")
    with running(root.location) as server:
        yield Proxy(server, root)


@pytest.fixture(scope="package")
def s3_place(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The same over S3."""
    bucket = object_store.make_bucket()
    log_file = tmp_path_factory.mktemp("browser") / "s3.log"
    with closing(object_store.client()) as client:
        root = S3Root(object_store, bucket, "root", client)
        with running(root.location, environment=root.environment, log_file=log_file) as server:
            yield Proxy(server, root)
    object_store.remove_bucket(bucket)


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest) -> Proxy:
    """One over each kind of storage."""
    found: Proxy = request.getfixturevalue(f"{request.param}_place")
    return found
