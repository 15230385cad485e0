"""nginx with a shipped configuration, two artifact-proxies over one bucket, and a tracking server."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.e2e.roots import S3Root
from tests.support.access_log import Logged, logged
from tests.support.mlflow_server import TrackingServer, running_tracking_server
from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import Replicas, running_replicas
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Deployment:
    root: S3Root
    replicas: Replicas
    nginx: Nginx
    tracking: TrackingServer
    tracking_url: str
    """Where clients find the tracking server."""
    root_uri: str
    """What recorded URIs begin with, without a final slash."""
    client_environment: Mapping[str, str] = field(default_factory=dict)
    """What clients need besides, which is nothing about storage."""

    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_url)

    def stored(self, artifact_uri: str) -> dict[str, bytes]:
        """All that the bucket has below `artifact_uri`."""
        assert artifact_uri.startswith(f"{self.root_uri}/"), artifact_uri
        return self.root.tree(artifact_uri.removeprefix(f"{self.root_uri}/"))

    def requests(self, part: str) -> list[Logged]:
        """What the replicas were asked whose target contains `part`, one replica after the other."""
        return [request for replica in self.replicas for request in logged(replica, part)]


@contextmanager
def new_root(store: ObjectStore) -> Iterator[S3Root]:
    """A path in a bucket of its own."""
    bucket = store.make_bucket()
    with closing(store.client()) as client:
        yield S3Root(store, bucket, "some/path", client)
    store.remove_bucket(bucket)


def replicas_over(root: S3Root, logs: Path, *flags: str) -> AbstractContextManager[Replicas]:
    return running_replicas(str(root.location), logs, *flags, environment=dict(root.environment))


@contextmanager
def recommended(
    store: ObjectStore,
    directory: Path,
    *,
    static_prefix: str = "",
    authority: PrivateAuthority | None = None,
) -> Iterator[Deployment]:
    """The tracking server records URLs of nginx; with `authority` those over TLS."""
    flags = ["--static-prefix", static_prefix] if static_prefix else []
    with (
        new_root(store) as root,
        replicas_over(root, directory, *flags) as replicas,
        running_nginx(
            directory / "nginx",
            replicas.urls,
            static_prefix=static_prefix,
            authority=authority,
        ) as nginx,
    ):
        root_uri = f"{nginx.tls_url if authority else nginx.url}/api/2.0/mlflow-artifacts/artifacts"
        trust = {"REQUESTS_CA_BUNDLE": str(authority.ca_file)} if authority else {}
        with running_tracking_server(directory / "tracking", root_uri, environment=trust) as tracking:
            yield Deployment(root, replicas, nginx, tracking, tracking.url, root_uri, trust)


@contextmanager
def migrated(store: ObjectStore, directory: Path) -> Iterator[Deployment]:
    """The tracking server has served its artifacts in S3 by itself; replicas have taken its place."""
    with (
        new_root(store) as root,
        running_tracking_server(
            directory / "tracking", artifacts_destination=str(root.location), environment=root.environment
        ) as tracking,
        replicas_over(root, directory) as replicas,
        migrating_nginx(directory / "nginx", replicas.urls, tracking) as nginx,
    ):
        yield Deployment(root, replicas, nginx, tracking, nginx.url, "mlflow-artifacts:")


@contextmanager
def migrating_nginx(directory: Path, servers: list[str], tracking: TrackingServer) -> Iterator[Nginx]:
    """nginx before `tracking`, whose artifacts are with the `servers`."""
    where = tracking.url.removeprefix("http://")
    with running_nginx(directory, servers, "nginx-migration.conf", TRACKING_SERVER=where) as nginx:
        yield nginx


def reload(nginx: Nginx, text: str) -> None:
    """Gives nginx another configuration while it runs, as an operator would."""
    master = psutil.Process(nginx.process.pid)
    old = {worker.pid for worker in master.children()}
    nginx.configuration.write_text(text)
    nginx.process.send_signal(signal.SIGHUP)

    def renewed() -> bool:
        workers = {worker.pid for worker in master.children()}
        return bool(workers) and not workers & old

    wait_until(renewed, "the workers of nginx with the new configuration")
