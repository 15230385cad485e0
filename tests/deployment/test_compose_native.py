"""docker-compose.yml with SeaweedFS, service by service and in its order, without an engine.

MinIO comes only as an image, which needs a container engine: its variant is only judged as it is written;
see also tests/deployment/test_minio_setup.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.support.access import basic, bearer
from tests.support.answers import MISSING, told
from tests.support.compose import SEAWEEDFS, services
from tests.support.composed import SECRETS, Composed, nginx_container
from tests.support.container import Running
from tests.support.dockerfile import ROOT, Image
from tests.support.object_store import ObjectStore
from tests.support.round_trip import kept_and_deleted
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
TOKENS = ["client-secrets/admin", "mlflow-secrets/token"]


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
        return self.composed.token(name)

    def administrator(self) -> S3Client:
        return self._client(
            self.secret("store-secrets/root-user"), self.secret("store-secrets/root-password")
        )

    def proxy(self) -> S3Client:
        return self._client(self.secret("proxy-secrets/access-key"), self.secret("proxy-secrets/secret-key"))

    def _client(self, access_key: str, secret_key: str) -> S3Client:
        return ObjectStore(self.composed.store_url, access_key, secret_key).client()


@pytest.fixture(scope="module")
def deployment(
    need_containers: None, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    composed = Composed(image, tmp_path_factory.mktemp("composed"))
    for volume in SECRETS:
        composed.make_volume(volume, 0)
    composed.make_volume("seaweedfs-data", 1000)
    ended: dict[str, list[subprocess.CompletedProcess[str]]] = {"secrets": [], "store-setup": []}

    def run_twice(name: str) -> None:
        for _ in range(2):
            done = composed.run(name)
            assert done.returncode == 0, done.stdout + done.stderr
            ended[name].append(done)

    with ExitStack() as stack:
        run_twice("secrets")
        (store,) = stack.enter_context(composed.running("store"))
        stack.callback(store.kill)
        run_twice("store-setup")
        proxies = stack.enter_context(composed.running("artifact-proxy"))
        (nginx,) = stack.enter_context(composed.running("nginx"))
        yield Deployment(composed, ended, store, proxies, nginx)


@pytest.fixture(scope="module")
def client(deployment: Deployment) -> Iterator[httpx.Client]:
    """With the administrator's token."""
    with httpx.Client(headers=bearer(deployment.composed.token("client-secrets/admin"))) as client:
        yield client


def test_the_services_that_run_once_may_run_again_and_show_no_secret(deployment: Deployment) -> None:
    said = "".join(done.stdout + done.stderr for runs in deployment.ended.values() for done in runs)
    secrets = ["store-secrets/root-password", "proxy-secrets/secret-key", *TOKENS]
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
    with kept_and_deleted(client, deployment.artifacts, f"{folder}/d", os.urandom(size)) as data:
        for number in range(len(deployment.proxies)):
            direct = f"{deployment.composed.proxy_url(number)}/v1/artifacts/{folder}/d/a"
            assert client.get(direct, headers={"Range": "bytes=1-5"}).content == data[1:6]
    assert len(deployment.proxies) == 2


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


def test_nginx_takes_the_configuration_word_for_word(deployment: Deployment, tmp_path: Path) -> None:
    """Here nothing is replaced: its servers are found by their name, when they are needed."""
    container = nginx_container(services(SEAWEEDFS)["nginx"], tmp_path / "nginx", tmp_path)
    with container.running(*deployment.composed.command("nginx"), "-t") as tried:
        assert tried.process.wait(20) == 0, tried.log()
        assert "test is successful" in tried.log()


class TestTokens:
    def test_are_known_by_their_hashes_alone(self, deployment: Deployment) -> None:
        kept = (deployment.composed.directory / "access" / "access.toml").read_text()
        assert re.findall(r'^name = "(.*)"$', kept, re.MULTILINE) == ["admin", "mlflow"]
        for name in TOKENS:
            token = deployment.secret(name)
            assert re.fullmatch(r"apx_[\w-]{43}", token)
            assert token not in kept
            assert sha256(token.encode()).hexdigest() in kept

    def test_are_not_seen_by_the_servers_nor_by_nginx(self, deployment: Deployment) -> None:
        words = [deployment.secret(name) for name in TOKENS]
        for running in (*deployment.proxies, deployment.nginx):
            looked = running.run("grep", "-rlsF", "-e", words[0], "-e", words[1], "/run", "/etc")
            assert (looked.stdout, looked.stderr) == ("", "")
        seen = deployment.proxies[0].run("ls", "/run/secrets").stdout.split()
        assert seen == ["access", "proxy"]

    def test_open_the_artifacts_and_nothing_else_does(
        self, deployment: Deployment, client: httpx.Client, folder: str
    ) -> None:
        url = f"{deployment.artifacts}/{folder}/a"
        assert client.put(url, content=b"a").status_code == 201
        for headers in ({}, bearer("apx_of-somebody-else"), {"X-Forwarded-User": "admin"}):
            for refused in (
                httpx.get(url, headers=headers),
                httpx.put(url, headers=headers, content=b"b"),
                httpx.delete(url, headers=headers),
            ):
                assert told(refused) == (401, "UNAUTHENTICATED")
        assert httpx.get(url, headers=basic(deployment.secret(TOKENS[0]))).text == "a"
        of_tracking = bearer(deployment.secret(TOKENS[1]))
        assert httpx.get(url, headers=of_tracking).text == "a"
        assert told(httpx.delete(url, headers=of_tracking)) == (403, "PERMISSION_DENIED")
        assert httpx.get(f"{deployment.composed.nginx_url}/health").text == "OK"

    def test_are_written_down_with_what_they_were_used_for(
        self, deployment: Deployment, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{deployment.artifacts}/{folder}/audited", content=b"a").raise_for_status()

        def audited() -> list[str]:
            lines = "".join(proxy.log() for proxy in deployment.proxies).splitlines()
            return [line for line in lines if line.startswith("{") and f"{folder}/audited" in line]

        wait_until(audited, "the line of the audit log")
        (line,) = audited()
        assert json.loads(line)["who"] == {"kind": "token", "name": "admin"}
        logs = "".join(each.log() for each in (*deployment.proxies, deployment.nginx, deployment.store))
        assert [name for name in TOKENS if deployment.secret(name) in logs] == []

    def test_are_added_in_one_line_and_known_after_a_signal(
        self, deployment: Deployment, folder: str
    ) -> None:
        composed = deployment.composed
        text = (ROOT / "docs" / "operations.md").read_text("utf-8")
        (line,) = re.findall(
            r"^docker compose run .* --entrypoint artifact-proxy (secrets .*)$", text, re.MULTILINE
        )
        name, *words = shlex.split(line)
        made = composed.container(name).run("artifact-proxy", *words)
        assert (made.returncode, made.stderr) == (0, "")
        own = bearer(made.stdout.strip())
        url = f"{deployment.artifacts}/users/alice/{folder}"
        for proxy in deployment.proxies:
            os.kill(proxy.first, signal.SIGHUP)
        wait_until(lambda: httpx.put(url, headers=own, content=b"a").status_code in {200, 201}, "the token")
        assert told(httpx.get(f"{deployment.artifacts}/users/bob/a", headers=own)) == (
            403,
            "PERMISSION_DENIED",
        )


def test_a_client_with_a_token_records_artifacts_and_the_tracking_server_shows_them(
    deployment: Deployment, client: httpx.Client, no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    composed = deployment.composed
    composed.make_volume("mlflow-data", 0)
    down = client.get(composed.tracking_url)
    assert told(down) == (503, "TEMPORARILY_UNAVAILABLE")
    with composed.running("mlflow") as (server,):
        recorder = MlflowClient(tracking_uri=composed.tracking_url)
        with pytest.raises(MlflowException, match=r"UNAUTHENTICATED.*MLFLOW_TRACKING_TOKEN"):
            recorder.search_experiments()
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", deployment.secret(TOKENS[0]))
        run = recorder.create_run("0").info
        place = f"{composed.nginx_url}/api/2.0/mlflow-artifacts/artifacts/0/{run.run_id}/artifacts"
        assert run.artifact_uri == place
        recorder.log_text(run.run_id, "what was said", "notes/a.txt")
        stored = client.get(f"{deployment.artifacts}/0/{run.run_id}/artifacts/notes/a.txt")
        assert stored.text == "what was said"
        query = {"run_id": run.run_id, "path": "notes/a.txt"}
        shown = client.get(f"{composed.tracking_url}/get-artifact", params=query)
        assert (shown.status_code, shown.text) == (200, "what was said")
        listing = f"{composed.tracking_url}/api/2.0/mlflow/artifacts/list"
        listed = client.get(listing, params={"run_id": run.run_id, "path": "notes"}).json()
        assert listed["files"] == [{"path": "notes/a.txt", "is_dir": False, "file_size": 13}]
        for page in ("", "/health", "/get-artifact", "/api/2.0/mlflow/experiments/search"):
            refused = httpx.get(composed.tracking_url + page, headers=bearer("apx_of-somebody-else"))
            assert told(refused) == (401, "UNAUTHENTICATED")
            schemes = [each.split()[0] for each in refused.headers.get_list("www-authenticate")]
            assert sorted(schemes) == ["Basic", "Bearer"]
            assert refused.headers["x-content-type-options"] == "nosniff"
        assert told(client.get(f"{composed.tracking_url}/_identity")) == MISSING
        by_password = httpx.get(shown.url, headers=basic(deployment.secret(TOKENS[0])))
        assert (by_password.status_code, by_password.text) == (200, "what was said")
        assert composed.healthy("mlflow", server)
        assert sorted(set(server.writable()) - {"/dev"}) == ["/tmp", "/var/lib/mlflow"]  # noqa: S108 - in its container
