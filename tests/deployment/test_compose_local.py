"""docker-compose.local.yml: artifacts in a volume in the place of the store, sent by nginx itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.access import bearer
from tests.support.answers import told
from tests.support.compose import LOCAL, MINIO, project, services
from tests.support.composed import Composed
from tests.support.container import Running
from tests.support.dockerfile import Image, stages
from tests.support.nginx import configuration
from tests.support.round_trip import kept_and_deleted

STORE = {"store", "store-setup"}
KEPT = {"secrets", "artifact-proxy", "nginx", "mlflow"}
VOLUME = "artifacts"


def of_volume(service: dict[str, Any]) -> dict[str, Any]:
    (mount,) = [mount for mount in service["volumes"] if mount["source"] == VOLUME]
    assert mount["type"] == "volume"
    return {"target": mount["target"], "read_only": mount.get("read_only", False)}


def test_the_store_is_not_started_and_nothing_needs_it() -> None:
    assert set(services(LOCAL, ())) == KEPT - {"mlflow"}
    assert set(services(LOCAL)) == KEPT
    everything = services(LOCAL, ("mlflow", "store"))
    assert set(everything) == KEPT | STORE
    needed = {other for name in KEPT for other in everything[name].get("depends_on", {})}
    assert needed == {"secrets", "artifact-proxy", "nginx"}
    assert all(everything[name]["profiles"] == ["store"] for name in STORE)


def test_the_root_is_the_volume_which_nginx_may_only_read() -> None:
    found = services(LOCAL)
    proxy, nginx = found["artifact-proxy"], found["nginx"]
    root = proxy["environment"]["ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT"]
    assert of_volume(proxy) == {"target": root, "read_only": False}
    assert of_volume(nginx) == {"target": nginx["environment"]["ARTIFACT_ROOT"], "read_only": True}
    assert VOLUME in project(LOCAL)["volumes"]


def test_the_volume_gets_the_owner_that_the_place_has_in_the_image() -> None:
    root = services(LOCAL)["artifact-proxy"]["environment"]["ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT"]
    *_, made = stages()[-1].the("RUN").text.partition("install --directory --owner 10001 --group 10001 ")
    assert root in made.split()


def test_the_servers_name_the_location_that_nginx_has_for_them() -> None:
    named = services(LOCAL)["artifact-proxy"]["environment"]["ARTIFACT_PROXY_ACCEL_REDIRECT"]
    internal = re.findall(r"location \^~ (\S+)/ \{\s+internal;\s+alias", configuration())
    assert internal == [named]


def test_all_else_is_as_it_is_with_a_store() -> None:
    own, with_store = services(LOCAL), services(MINIO)
    assert own["mlflow"] == with_store["mlflow"]
    assert own["secrets"] == with_store["secrets"]
    for name in ("artifact-proxy", "nginx"):
        without_volume = [mount for mount in own[name]["volumes"] if mount["source"] != VOLUME]
        assert without_volume == with_store[name]["volumes"]
        same = {"environment", "volumes", "depends_on"}
        assert {key: value for key, value in own[name].items() if key not in same} == {
            key: value for key, value in with_store[name].items() if key not in same
        }
    assert own["nginx"]["environment"] == with_store["nginx"]["environment"]
    local = {"ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT", "ARTIFACT_PROXY_ACCEL_REDIRECT"}
    variables = [found["artifact-proxy"]["environment"].items() for found in (own, with_store)]
    assert {name for name, _ in variables[0] ^ variables[1]} == local


@pytest.fixture(scope="module")
def composed(need_containers: None, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Composed:
    composed = Composed(image, tmp_path_factory.mktemp("composed"), LOCAL)
    composed.make_secrets()
    composed.make_volume(VOLUME, 10001)
    return composed


@pytest.fixture(scope="module")
def nginx(composed: Composed) -> Iterator[Running]:
    with composed.running("artifact-proxy") as proxies, composed.running("nginx") as (nginx,):
        assert len(proxies) == 2
        yield nginx


@pytest.fixture(scope="module")
def client(composed: Composed) -> Iterator[httpx.Client]:
    """With the administrator's token."""
    with httpx.Client(headers=bearer(composed.token("client-secrets/admin"))) as client:
        yield client


def test_a_stranger_gets_nothing(composed: Composed, nginx: Running) -> None:
    for url in (f"{composed.nginx_url}/v1/artifacts/a", composed.tracking_url):
        refused = httpx.get(url, headers=bearer("apx_of-somebody-else"))
        assert told(refused) == (401, "UNAUTHENTICATED")


def test_a_download_is_sent_by_nginx_which_is_told_where_by_a_server(
    composed: Composed, nginx: Running, client: httpx.Client, folder: str
) -> None:
    native = f"{composed.nginx_url}/v1/artifacts"
    with kept_and_deleted(client, native, folder, os.urandom(3_000_000)) as data:
        assert (composed.directory / VOLUME / folder / "a").read_bytes() == data
        for number in range(2):
            # As nginx asks: the server answers without a byte of the artifact.
            direct = f"{composed.proxy_url(number)}/v1/artifacts/{folder}/a"
            told = client.get(direct, headers={"X-Forwarded-For": "10.1.2.3"})
            assert (told.headers["X-Accel-Redirect"], told.content) == (f"/_files/{folder}/a", b"")
        sent = client.get(f"{native}/{folder}/a")
        assert "X-Accel-Redirect" not in sent.headers
        assert sent.content == data


def test_nginx_has_no_right_to_change_artifacts(nginx: Running) -> None:
    assert nginx.status()["Uid"].split() == ["101"] * 4
    assert sorted({place for place in nginx.writable() if not place.startswith("/dev")}) == ["/tmp"]  # noqa: S108 - in its container
