"""Two servers over one root in S3, and the shipped nginx configuration before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.access_log import logged
from tests.support.nginx import Nginx, running_nginx
from tests.support.object_store import ObjectStore
from tests.support.private_authority import PrivateAuthority, private_authority
from tests.support.server import Server, running

PREFIX = "/mlflow/artifacts"
"""The replicas answer below it as well as without it, and so serve for both."""


@dataclass(frozen=True)
class Replicas:
    one: Server
    other: Server

    def __iter__(self) -> Iterator[Server]:
        return iter((self.one, self.other))

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self]

    def counts(self, part: str) -> list[int]:
        """How many requests each has answered whose target contains `part`."""
        return [len(logged(server, part)) for server in self]


@contextmanager
def running_replicas(
    root: Path | str, logs: Path, *arguments: str, environment: dict[str, str] | None = None
) -> Iterator[Replicas]:
    """Two servers over `root` with the same arguments, known by their addresses without any prefix."""
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:

        def started(name: str) -> Server:
            log_file = logs / f"{name}.log"
            server = stack.enter_context(
                running(root, *arguments, environment=environment, log_file=log_file)
            )
            return replace(server, url=server.url.removesuffix(PREFIX))

        one, other = pool.map(started, ("one", "other"))
        yield Replicas(one, other)


@pytest.fixture(scope="session")
def replicas(object_store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Over a bucket of their own, with presigned URLs."""
    bucket = object_store.make_bucket()
    logs = tmp_path_factory.mktemp("replicas")
    flags = ("--presign", "--static-prefix", PREFIX)
    with running_replicas(
        f"s3://{bucket}/root", logs, *flags, environment=object_store.environment()
    ) as started:
        yield started
    object_store.remove_bucket(bucket)


@pytest.fixture(scope="session")
def envsubst(need: Callable[[str], str]) -> None:
    """For what fills in the shipped configurations."""
    need("envsubst")


@pytest.fixture(scope="session")
def nginx_installed(envsubst: None, need: Callable[[str], str]) -> None:
    """For what runs nginx with them."""
    need("nginx")


@pytest.fixture(scope="session")
def nginx(
    nginx_installed: None, replicas: Replicas, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nginx]:
    """Before the two replicas, as it is shipped."""
    with running_nginx(tmp_path_factory.mktemp("nginx") / "plain", replicas.urls) as started:
        yield started


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> PrivateAuthority:
    return private_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_nginx(nginx_installed: None, tmp_path: Path) -> Iterator[Callable[..., Nginx]]:
    """Starts further ones before the servers of the URLs given; see `running_nginx`."""
    with ExitStack() as stack:

        def started(*urls: str, **options: Any) -> Nginx:
            directory = tmp_path / f"nginx-{len(list(tmp_path.glob('nginx-*')))}"
            return stack.enter_context(running_nginx(directory, urls, **options))

        yield started
