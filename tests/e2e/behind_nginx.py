"""nginx with a shipped configuration, two artifact-proxies over one bucket, and a tracking server."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil

from tests.e2e.roots import S3Root
from tests.support.access_log import Logged, logged
from tests.support.mlflow_server import TrackingServer, running_tracking_server
from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import PREFIX, Replicas, running_replicas
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority
from tests.support.server import Address
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, kw_only=True)
class Deployment:
    root: S3Root
    replicas: Replicas
    nginx: Nginx
    tracking: TrackingServer
    """Where clients find it."""
    root_uri: str
    """What recorded URIs begin with, without a final slash."""
    client_environment: Mapping[str, str] = field(default_factory=dict)
    """What clients need besides, which is nothing about storage."""

    def client(self) -> MlflowClient:
        return self.tracking.client()

    def new_experiment(self, name: str) -> str:
        return self.tracking.new_experiment(name, self.root_uri)

    def stored(self, artifact_uri: str) -> dict[str, bytes]:
        """All that the bucket has below `artifact_uri`."""
        assert artifact_uri.startswith(f"{self.root_uri}/"), artifact_uri
        return self.root.tree(artifact_uri.removeprefix(f"{self.root_uri}/"))

    def requests(self, part: str) -> list[Logged]:
        """What the replicas were asked whose target contains `part`, one replica after the other."""
        return [request for replica in self.replicas for request in logged(replica, part)]


@dataclass(frozen=True, kw_only=True)
class Migration(Deployment):
    old_server: TrackingServer
    """The one behind nginx, where it is itself."""


@contextmanager
def replicas_in_s3(store: ObjectStore, logs: Path) -> Iterator[tuple[S3Root, Replicas]]:
    """Over a bucket of their own; they answer at PREFIX as well as without it."""
    bucket = store.make_bucket()
    with closing(store.client()) as client:
        root = S3Root(store, bucket, "some/path", client)
        with replicas_over(root, logs, "--static-prefix", PREFIX) as replicas:
            yield root, replicas
    store.remove_bucket(bucket)


def replicas_over(root: S3Root, logs: Path, *flags: str) -> AbstractContextManager[Replicas]:
    return running_replicas(str(root.location), logs, *flags, environment=dict(root.environment))


def trust(authority: PrivateAuthority) -> dict[str, str]:
    """For MLflow's clients and servers."""
    return {"REQUESTS_CA_BUNDLE": str(authority.ca_file)}


@contextmanager
def recommended(store: ObjectStore, directory: Path, authority: PrivateAuthority) -> Iterator[Deployment]:
    """The tracking server records URLs of nginx; it can also reach those over TLS."""
    with (
        replicas_in_s3(store, directory) as (root, replicas),
        running_nginx(directory / "nginx", replicas.urls) as nginx,
    ):
        root_uri = f"{nginx.mlflow}/artifacts"
        environment = trust(authority)
        with running_tracking_server(directory / "tracking", root_uri, environment=environment) as tracking:
            yield Deployment(root=root, replicas=replicas, nginx=nginx, tracking=tracking, root_uri=root_uri)


@contextmanager
def over_tls(plain: Deployment, directory: Path, authority: PrivateAuthority) -> Iterator[Deployment]:
    """The same with another nginx, over TLS and at PREFIX; experiments lie at its URL."""
    servers = plain.replicas.urls
    with running_nginx(directory, servers, static_prefix=PREFIX, authority=authority) as nginx:
        root_uri = f"{Address(nginx.tls_url).mlflow}/artifacts"
        yield replace(plain, nginx=nginx, root_uri=root_uri, client_environment=trust(authority))


@contextmanager
def migrated(
    storage: tuple[S3Root, Replicas],
    directory: Path,
    *,
    static_prefix: str = "",
    authority: PrivateAuthority | None = None,
) -> Iterator[Migration]:
    """A tracking server has served its artifacts in S3 by itself; the replicas have taken its place."""
    root, replicas = storage
    with (
        running_tracking_server(
            directory / "tracking",
            artifacts_destination=str(root.location),
            static_prefix=static_prefix,
            environment=root.environment,
        ) as old_server,
        migrating_nginx(
            directory / "nginx",
            replicas.urls,
            old_server,
            static_prefix=static_prefix,
            authority=authority,
        ) as nginx,
    ):
        yield Migration(
            root=root,
            replicas=replicas,
            nginx=nginx,
            tracking=replace(old_server, url=nginx.tls_url if authority else nginx.url),
            root_uri="mlflow-artifacts:",
            client_environment=trust(authority) if authority else {},
            old_server=old_server,
        )


@contextmanager
def migrating_nginx(
    directory: Path, servers: list[str], tracking: TrackingServer, **options: Any
) -> Iterator[Nginx]:
    """nginx before `tracking`, whose artifacts are with the `servers`; see `running_nginx`."""
    where = urlsplit(tracking.url).netloc
    template = "nginx-migration.conf"
    with running_nginx(directory, servers, template, TRACKING_SERVER=where, **options) as nginx:
        yield nginx


def reload(nginx: Nginx, text: str) -> None:
    """Gives nginx another configuration while it runs, as an operator would."""
    nginx.configuration.write_text(text)
    with renewing(nginx.process.pid):
        nginx.process.send_signal(signal.SIGHUP)


@contextmanager
def renewing(master: int) -> Iterator[None]:
    """What is done inside the block makes the nginx of that process id read its configuration again."""
    process = psutil.Process(master)
    old = {worker.pid for worker in process.children()}
    yield

    def renewed() -> bool:
        workers = {worker.pid for worker in process.children()}
        return bool(workers) and not workers & old

    wait_until(renewed, "the workers of nginx with the new configuration")
