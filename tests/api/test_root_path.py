"""--root-path: where a reverse proxy shows the server that takes it off before it sends requests on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.access import token_stanza
from tests.support.access_log import complete_log
from tests.support.guarded import UNKNOWN, guarded, told
from tests.support.server import Server, running

ROOT_PATH = "/shown/at"
PREFIX = "/team/mlflow"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is shown at ROOT_PATH, with a static prefix as well."""
    root = tmp_path_factory.mktemp("shown") / "root"
    with running(root, "--root-path", ROOT_PATH + "/", "--static-prefix", PREFIX) as started:
        yield started


@pytest.fixture(params=["", PREFIX], ids=["alone", "with the static prefix"])
def prefix(request: pytest.FixtureRequest) -> str:
    """What a request that reaches the server begins with."""
    value: str = request.param
    return value


@pytest.fixture
def base(shown: Server, prefix: str) -> str:
    """The server's own address, as its proxy asks it."""
    return shown.url.removesuffix(PREFIX) + prefix


def test_the_server_says_where_it_listens_and_not_where_it_is_shown(shown: Server) -> None:
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+{PREFIX}", shown.url)


@pytest.mark.parametrize("name", ["a b", "a%2Fb", "100%", "é", "shown/at/a", "team/mlflow/a"])
def test_the_location_of_an_upload_is_where_clients_find_it(
    base: str, prefix: str, client: httpx.Client, folder: str, name: str
) -> None:
    path = quote(f"/v1/artifacts/{folder}/{name}")
    stored = client.put(base + path, content=b"data")
    assert stored.status_code == 201
    assert stored.headers["location"] == ROOT_PATH + prefix + path
    again = stored.headers["location"].removeprefix(ROOT_PATH)
    assert client.get(base.removesuffix(prefix) + again).content == b"data"


def test_an_encoded_slash_is_none_below_the_root_path_either(base: str, client: httpx.Client) -> None:
    assert client.get(f"{base}/v1/artifacts%2Fa").status_code == 404
    assert client.put(f"{base}/v1/artifacts/..%2Fa", content=b"").status_code == 400
    assert client.put(f"{base}/v1/artifacts/a%2F%2Fb", content=b"").status_code == 400


@pytest.mark.parametrize("path", [ROOT_PATH, f"{ROOT_PATH}/health", f"{ROOT_PATH}{PREFIX}/health", "/shown"])
def test_the_root_path_itself_is_no_route(shown: Server, client: httpx.Client, path: str) -> None:
    """It is taken off by the proxy, once; here it would be a second one."""
    refused = client.get(shown.url.removesuffix(PREFIX) + path)
    assert (refused.status_code, refused.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_an_artifact_may_be_called_like_the_root_path(base: str, client: httpx.Client, folder: str) -> None:
    name = f"{folder}{ROOT_PATH}{ROOT_PATH}"
    mlflow = f"{base}/api/2.0/mlflow-artifacts/artifacts"
    assert client.put(f"{mlflow}/{name}", content=b"data").status_code == 200
    assert client.get(f"{base}/v1/artifacts/{name}").content == b"data"
    listed = client.get(f"{base}/v1/artifacts/{folder}/", params={"recursive": "true"}).json()
    assert [entry["path"] for entry in listed["entries"]] == [name]
    assert client.get(mlflow, params={"path": f"{folder}{ROOT_PATH}"}).json()["files"][0]["path"] == "shown"
    assert client.delete(f"{mlflow}/{folder}/").status_code == 200


def test_a_method_that_is_not_there_is_405_with_those_that_are(base: str, client: httpx.Client) -> None:
    refused = client.patch(f"{base}/v1/artifacts/a")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, PUT, DELETE, OPTIONS")


def test_the_description_names_the_servers_address_as_it_is_shown(
    base: str, prefix: str, client: httpx.Client
) -> None:
    for _ in range(2):
        described = client.get(f"{base}/openapi.json").json()
        assert described["servers"] == [{"url": ROOT_PATH + prefix}]
    assert "/v1/artifacts/{path}" in described["paths"]


def test_the_documentation_page_loads_all_from_where_it_is_shown(
    base: str, prefix: str, client: httpx.Client
) -> None:
    page = client.get(f"{base}/docs").text
    links = re.findall(r'(?:href|src|url)["\']?[=:]\s*["\']([^"\']+)', page)
    assert len(links) >= 4
    for link in links:
        assert link.startswith(f"{ROOT_PATH}{prefix}/"), link
        assert client.get(base + link.removeprefix(ROOT_PATH + prefix)).status_code == 200


def test_the_access_log_has_the_target_as_it_came(
    shown: Server, base: str, prefix: str, client: httpx.Client, folder: str
) -> None:
    client.get(f"{base}/v1/artifacts/{folder}")
    assert f'"GET {prefix}/v1/artifacts/{folder} HTTP/1.1" 404' in complete_log(shown)


def test_of_what_is_below_the_static_prefix_only_the_health_and_the_page_are_public(
    client: httpx.Client, tmp_path: Path
) -> None:
    _, somebody = token_stanza("somebody", "all:")
    with guarded(tmp_path, somebody, flags=("--static-prefix", "/ml")) as server:
        url = server.url.removesuffix("/ml")
        for target in ("/ml/health", "/health"):
            assert client.get(url + target).text == "OK", target
        for target in ("/ml/ui", "/ui"):
            assert client.get(url + target).headers["content-type"].startswith("text/html"), target
        for target in ("/ml/version", "/ml/ml/health", "/ml//health", "/ml/health/", "/ml", "/ml/ui/x"):
            assert told(client.get(url + target)) == UNKNOWN, target
