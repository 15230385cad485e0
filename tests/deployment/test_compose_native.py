"""docker-compose.yml with SeaweedFS, service by service and in its order, without an engine.

MinIO cannot be had here, so that its variant is only judged as it is written; see also
tests/deployment/test_minio_setup.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.support.compose import SEAWEEDFS, services
from tests.support.composed import Composed
from tests.support.container import Running
from tests.support.dockerfile import Image
from tests.support.object_store import ObjectStore
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "artifacts"
FOREIGN_BUCKET = "foreign"
FORBIDDEN: list[tuple[str, dict[str, str]]] = [
    ("create_bucket", {"Bucket": "third"}),
    ("delete_bucket", {"Bucket": BUCKET}),
    ("list_objects_v2", {"Bucket": FOREIGN_BUCKET}),
    ("get_object", {"Bucket": FOREIGN_BUCKET, "Key": "a"}),
    ("put_object", {"Bucket": FOREIGN_BUCKET, "Key": "b"}),
    ("delete_object", {"Bucket": FOREIGN_BUCKET, "Key": "a"}),
    ("put_bucket_policy", {"Bucket": BUCKET, "Policy": "{}"}),
]
LARGE = 20_000_000


@dataclass
class Deployment:
    composed: Composed
    ended: dict[str, list[subprocess.CompletedProcess[str]]]
    """Each run of the services that run once, by name."""
    store: Running
    proxies: list[Running]
    nginx: Running

    @property
    def artifacts(self) -> str:
        return f"{self.composed.nginx_url}/v1/artifacts"

    def secret(self, name: str) -> str:
        return (self.composed.directory / name).read_text()

    def administrator(self) -> S3Client:
        return self._client(
            self.secret("store-secrets/root-user"), self.secret("store-secrets/root-password")
        )

    def proxy(self) -> S3Client:
        return self._client(self.secret("proxy-secrets/access-key"), self.secret("proxy-secrets/secret-key"))

    def _client(self, access_key: str, secret_key: str) -> S3Client:
        return ObjectStore(self.composed.store_url, access_key, secret_key).client()


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[ExitStack, list[Deployment]]]:
    """What the first test starts, until the last one has ended."""
    with ExitStack() as stack:
        yield stack, []


@pytest.fixture
def deployment(
    need_root: None,
    kept: tuple[ExitStack, list[Deployment]],
    image: Image,
    tmp_path_factory: pytest.TempPathFactory,
) -> Deployment:
    stack, started = kept
    if not started:
        composed = Composed(image, tmp_path_factory.mktemp("composed"))
        started.append(stack.enter_context(_up(composed)))
    return started[0]


@contextmanager
def _up(composed: Composed) -> Iterator[Deployment]:
    for volume, owner in {"store-secrets": 0, "proxy-secrets": 0, "seaweedfs-data": 1000}.items():
        (composed.directory / volume).mkdir()
        os.chown(composed.directory / volume, owner, owner)
    ended: dict[str, list[subprocess.CompletedProcess[str]]] = {"secrets": [], "store-setup": []}

    def run_twice(name: str) -> None:
        for _ in range(2):
            done = composed.container(name).run(*composed.command(name))
            assert done.returncode == 0, done.stdout + done.stderr
            ended[name].append(done)

    with ExitStack() as stack:

        def start(name: str, number: int = 0) -> Running:
            container = composed.container(name, number)
            return stack.enter_context(container.running(*composed.command(name)))

        run_twice("secrets")
        store = start("store")
        stack.callback(store.kill)
        wait_until(lambda: _answers(composed.health_url("store"), store), "the store")
        run_twice("store-setup")
        proxies = [start("artifact-proxy", number) for number in range(composed.replicas)]
        for proxy in proxies:
            wait_until(lambda proxy=proxy: _healthy(proxy, composed.image), "artifact-proxy")  # type: ignore[misc]
        nginx = start("nginx")
        wait_until(lambda: _answers(composed.health_url("nginx"), nginx), "nginx")
        yield Deployment(composed, ended, store, proxies, nginx)


def _answers(url: str, running: Running) -> bool:
    assert running.process.poll() is None, running.log()
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _healthy(proxy: Running, image: Image) -> bool:
    assert proxy.process.poll() is None, proxy.log()
    return proxy.run(*image.health_check).returncode == 0


def test_the_services_that_run_once_may_run_again_and_show_no_secret(deployment: Deployment) -> None:
    said = "".join(done.stdout + done.stderr for runs in deployment.ended.values() for done in runs)
    secrets = ["store-secrets/root-password", "proxy-secrets/secret-key"]
    assert [name for name in secrets if deployment.secret(name) in said] == []
    assert [len(runs) for runs in deployment.ended.values()] == [2, 2]
    assert all(BUCKET in done.stdout for done in deployment.ended["store-setup"])


def test_each_service_has_its_own_user_and_writes_to_its_own_volume_only(deployment: Deployment) -> None:
    expected = {
        "1000": (deployment.store, ["/data", "/tmp"]),  # noqa: S108 - in its container
        "10001": (deployment.proxies[0], []),
        "101": (deployment.nginx, ["/tmp"]),  # noqa: S108 - in its container
    }
    for user, (running, writable) in expected.items():
        status = running.status()
        assert status["Uid"].split() == [user] * 4
        assert int(status["CapBnd"], 16) == 0
        places = {"/".join(place.split("/")[:2]) for place in running.writable()}
        assert sorted(places) == writable


def test_check_finds_all_that_the_proxy_needs(deployment: Deployment) -> None:
    checked = deployment.proxies[0].run(*deployment.composed.image.entrypoint, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "The artifact root can be used." in checked.stdout


def test_the_user_of_the_proxy_may_use_its_bucket_and_nothing_else(deployment: Deployment) -> None:
    with closing(deployment.administrator()) as administrator:
        administrator.create_bucket(Bucket=FOREIGN_BUCKET)
        administrator.put_object(Bucket=FOREIGN_BUCKET, Key="a", Body=b"foreign")
    with closing(deployment.proxy()) as proxy:
        assert {bucket["Name"] for bucket in proxy.list_buckets()["Buckets"]} <= {BUCKET}
        for call, arguments in FORBIDDEN:
            with pytest.raises(ClientError) as refused:
                getattr(proxy, call)(**arguments)
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, call
    with closing(deployment.administrator()) as administrator:
        kept = administrator.list_objects_v2(Bucket=FOREIGN_BUCKET)["Contents"]
        assert [found["Key"] for found in kept] == ["a"]


@pytest.mark.parametrize("size", [10, LARGE])
def test_artifacts_go_through_nginx_and_are_at_every_replica(
    deployment: Deployment, client: httpx.Client, folder: str, size: int
) -> None:
    data = os.urandom(size)
    url = f"{deployment.artifacts}/{folder}/d/a"
    assert client.put(url, content=data).status_code == 201
    assert client.get(url).content == data
    for number in range(deployment.composed.replicas):
        direct = f"{deployment.composed.proxy_url(number)}/v1/artifacts/{folder}/d/a"
        assert client.get(direct, headers={"Range": "bytes=1-5"}).content == data[1:6]
    listing = client.get(f"{deployment.artifacts}/{folder}/d/").json()["entries"]
    assert [(entry["path"], entry["size"]) for entry in listing] == [(f"{folder}/d/a", size)]
    assert client.delete(f"{deployment.artifacts}/{folder}/").status_code == 204
    assert client.get(url).status_code == 404


def test_an_upload_that_breaks_off_leaves_nothing_in_the_store(
    deployment: Deployment, client: httpx.Client, folder: str
) -> None:
    wrong = {"Repr-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"}
    refused = client.put(f"{deployment.artifacts}/{folder}/a", content=bytes(LARGE), headers=wrong)
    assert refused.status_code == 400
    with closing(deployment.administrator()) as administrator:
        uploads = administrator.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        assert [upload["Key"] for upload in uploads if upload["Key"].startswith(folder)] == []
        assert administrator.list_objects_v2(Bucket=BUCKET, Prefix=folder)["KeyCount"] == 0


def test_nginx_takes_the_configuration_word_for_word(deployment: Deployment) -> None:
    """Here nothing is replaced: its servers are found by their name, when they are needed."""
    composed = deployment.composed
    unchanged = services(SEAWEEDFS)["nginx"]["environment"]
    container = composed.nginx_container("unchanged", unchanged)
    with container.running(*composed.command("nginx"), "-t") as tried:
        assert tried.process.wait(20) == 0, tried.log()
        assert "test is successful" in tried.log()
