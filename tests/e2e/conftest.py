"""The two set-ups in which MLflow clients reach artifact-proxy, each started once and when first used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.support.mlflow_server import TrackingServer, mlflow_environment, running_tracking_server
from tests.support.server import Server, running

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI_FORMS = ("http", "mlflow-artifacts")


def root_uri(proxy: Server, form: str) -> str:
    """How a tracking server is told of `proxy`, without a final slash."""
    if form == "http":
        return f"{proxy.mlflow}/artifacts"
    return f"mlflow-artifacts://{urlsplit(proxy.url).netloc}"


@dataclass(frozen=True)
class Setup:
    """A tracking server that records runs below a proxy."""

    proxy: Server
    tracking: TrackingServer
    form: str

    @property
    def root_uri(self) -> str:
        return root_uri(self.proxy, self.form)

    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking.url)

    def on_disk(self, artifact_uri: str) -> Path:
        """Where the proxy keeps what is at `artifact_uri`."""
        assert artifact_uri.startswith(self.root_uri + "/"), artifact_uri
        return self.proxy.root / artifact_uri.removeprefix(self.root_uri + "/")


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The one that MLflow clients share; nothing else writes to its root."""
    with running(tmp_path_factory.mktemp("proxy") / "root") as started:
        yield started


@pytest.fixture(scope="session")
def setup_of(proxy: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Setup]]:
    """Gives the set-up for one of `URI_FORMS`."""
    with ExitStack() as stack:
        started: dict[str, Setup] = {}

        def get(form: str) -> Setup:
            if form not in started:
                directory = tmp_path_factory.mktemp("tracking") / form
                # The final slash is how the documentation writes the second form.
                uri = root_uri(proxy, form) + ("" if form == "http" else "/")
                tracking = stack.enter_context(running_tracking_server(directory, uri))
                started[form] = Setup(proxy, tracking, form)
            return started[form]

        yield get


@pytest.fixture(params=URI_FORMS)
def setup(request: pytest.FixtureRequest, setup_of: Callable[[str], Setup], user_environment: None) -> Setup:
    """Each set-up in turn."""
    return setup_of(request.param)


@pytest.fixture
def http_setup(setup_of: Callable[[str], Setup], user_environment: None) -> Setup:
    """The set-up to recommend, for what does not depend on the form of the URI."""
    return setup_of("http")


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
    """The id of an experiment that is this test's own, at the server's default location."""
    created: str = setup.client().create_experiment(folder)
    return created


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
