"""The set-ups in which clients reach artifact-proxy, each started once and when first used.

There is one over each kind of storage, with a tracking server of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.roots import LocalRoot, Root, S3Root
from tests.support.interposer import Interposer, interposing
from tests.support.mlflow_server import TrackingServer, mlflow_environment, running_tracking_server
from tests.support.object_store import ObjectStore
from tests.support.server import Server, running

if TYPE_CHECKING:
    from mlflow import MlflowClient

BACKENDS = ("local", "s3")
URI_FORMS = ("http", "mlflow-artifacts")
TOLD_FORM = {"local": "http", "s3": "mlflow-artifacts"}
"""How the tracking server of a backend is told of its proxy; locations of the other form are explicit."""


@dataclass(frozen=True)
class Proxy:
    server: Server
    root: Root

    def uri(self, form: str) -> str:
        """How a tracking server is told of it, without a final slash."""
        if form == "http":
            return f"{self.server.mlflow}/artifacts"
        return f"mlflow-artifacts://{urlsplit(self.server.url).netloc}"


@dataclass(frozen=True)
class Setup:
    """A tracking server that records runs below a proxy."""

    proxy: Proxy
    tracking: TrackingServer
    form: str

    @property
    def server(self) -> Server:
        return self.proxy.server

    @property
    def root(self) -> Root:
        return self.proxy.root

    @property
    def root_uri(self) -> str:
        return self.proxy.uri(self.form)

    def client(self) -> MlflowClient:
        return self.tracking.client()

    def new_experiment(self, name: str) -> str:
        return self.tracking.new_experiment(name, self.root_uri)

    def path(self, artifact_uri: str) -> str:
        """Where in the root the proxy keeps what is at `artifact_uri`."""
        assert artifact_uri.startswith(self.root_uri + "/"), artifact_uri
        return artifact_uri.removeprefix(self.root_uri + "/")

    def stored(self, artifact_uri: str) -> dict[str, bytes]:
        """All that the root has below `artifact_uri`."""
        return self.root.tree(self.path(artifact_uri))


@pytest.fixture(scope="session")
def s3_bucket(object_store: ObjectStore) -> Iterator[str]:
    name = object_store.make_bucket()
    yield name
    object_store.remove_bucket(name)


@pytest.fixture(scope="session")
def local_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    root = LocalRoot(tmp_path_factory.mktemp("proxy") / "root")
    with running(root.location) as server:
        yield Proxy(server, root)


@pytest.fixture(scope="session")
def s3_proxy(
    object_store: ObjectStore, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    log_file = tmp_path_factory.mktemp("proxy") / "s3.log"
    with closing(object_store.client()) as client:
        root = S3Root(object_store, s3_bucket, "root", client)
        with running(root.location, environment=root.environment, log_file=log_file) as server:
            yield Proxy(server, root)


@pytest.fixture(scope="session")
def local_read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("read-only") / "root"
    directory.mkdir()
    root = LocalRoot(directory)
    with running(root.location, "--read-only") as server:
        yield Proxy(server, root)


@pytest.fixture(scope="session")
def s3_read_only(
    object_store: ObjectStore, s3_bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    log_file = tmp_path_factory.mktemp("read-only") / "s3.log"
    with closing(object_store.client()) as client:
        root = S3Root(object_store, s3_bucket, "read-only", client)
        with running(root.location, "--read-only", environment=root.environment, log_file=log_file) as server:
            yield Proxy(server, root)


@dataclass(frozen=True)
class PresigningProxy(Proxy):
    root: S3Root
    public: Interposer
    """Where clients reach the store; the server itself goes there directly."""


@pytest.fixture(scope="session")
def presigning_proxy(
    object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PresigningProxy]:
    """One with --presign, over a bucket of its own."""
    log_file = tmp_path_factory.mktemp("presigning") / "s3.log"
    bucket = object_store.make_bucket()
    with closing(object_store.client()) as client, interposing(object_store.url) as public:
        root = S3Root(object_store, bucket, "root", client)
        flags = ("--presign", "--s3-public-endpoint-url", public.url)
        with running(root.location, *flags, environment=root.environment, log_file=log_file) as server:
            yield PresigningProxy(server, root, public)
    object_store.remove_bucket(bucket)


@pytest.fixture(scope="session")
def local_tracking(local_proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    told = local_proxy.uri(TOLD_FORM["local"])
    with running_tracking_server(tmp_path_factory.mktemp("tracking") / "local", told) as started:
        yield started


@pytest.fixture(scope="session")
def s3_tracking(s3_proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    # The final slash is how the documentation writes this form.
    told = s3_proxy.uri(TOLD_FORM["s3"]) + "/"
    with running_tracking_server(tmp_path_factory.mktemp("tracking") / "s3", told) as started:
        yield started


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each kind of storage in turn."""
    return str(request.param)


@pytest.fixture
def proxy(backend: str, request: pytest.FixtureRequest) -> Proxy:
    """The one that clients share; nothing else writes to its root."""
    started: Proxy = request.getfixturevalue(f"{backend}_proxy")
    return started


@pytest.fixture
def read_only(backend: str, request: pytest.FixtureRequest) -> Proxy:
    """A proxy that only reads, over a root where nothing is but what tests put there."""
    started: Proxy = request.getfixturevalue(f"{backend}_read_only")
    return started


@pytest.fixture
def tracking(backend: str, request: pytest.FixtureRequest) -> TrackingServer:
    started: TrackingServer = request.getfixturevalue(f"{backend}_tracking")
    return started


@pytest.fixture
def server(proxy: Proxy) -> Server:
    """In the place of the one that other tests share, which has a local root."""
    return proxy.server


@pytest.fixture
def root(proxy: Proxy) -> Root:
    return proxy.root


@pytest.fixture(params=URI_FORMS)
def uri_form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def setup(proxy: Proxy, tracking: TrackingServer, uri_form: str, user_environment: None) -> Setup:
    """Each backend with each form of URIs."""
    return Setup(proxy, tracking, uri_form)


@pytest.fixture
def http_setup(proxy: Proxy, tracking: TrackingServer, user_environment: None) -> Setup:
    """With the form to recommend, for what does not depend on it."""
    return Setup(proxy, tracking, "http")


@pytest.fixture
def user_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's machine knows: neither a storage nor its credentials."""
    environment = mlflow_environment()
    for name in os.environ.keys() - environment.keys():
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def experiment(setup: Setup, folder: str) -> str:
    """The id of an experiment that is this test's own."""
    return setup.new_experiment(folder)


@pytest.fixture
def run_id(setup: Setup, experiment: str) -> str:
    """A run of `experiment`."""
    created: str = setup.client().create_run(experiment).info.run_id
    return created


@pytest.fixture
def mlflow(setup: Setup) -> Iterator[Any]:
    """The module, whose functions for models know only one tracking server: the one of `setup`."""
    import mlflow as module

    module.set_tracking_uri(setup.tracking.url)
    yield module
    module.set_tracking_uri(None)  # also takes it out of the environment again
