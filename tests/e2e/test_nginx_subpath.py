"""The URLs that the server gives of itself are right behind nginx: at / or a sub-path, over TLS or not."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.support.answers import told
from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import PREFIX, Replicas
from tests.support.presigning import FIRST, LAST, Multipart, presigned
from tests.support.private_authority import PrivateAuthority
from tests.support.raw import exchange, head
from tests.support.server import Address, Server

_LINK = re.compile(r"""(?:href|src)="([^"]+)"|url: '([^']+)'""")


@dataclass(frozen=True)
class Shown(Address):
    """The servers as clients see them."""

    client: httpx.Client

    @property
    def prefix(self) -> str:
        return urlsplit(self.url).path

    @property
    def origin(self) -> str:
        return self.url.removesuffix(self.prefix)


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at /", "at a sub-path"])
def behind(
    request: pytest.FixtureRequest,
    nginx_installed: None,
    replicas: Replicas,
    authority: PrivateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nginx]:
    directory = tmp_path_factory.mktemp("shown") / "nginx"
    with running_nginx(directory, replicas.urls, static_prefix=request.param, authority=authority) as nginx:
        yield nginx


@pytest.fixture(params=["http", "https"])
def shown(request: pytest.FixtureRequest, behind: Nginx, authority: PrivateAuthority) -> Iterator[Shown]:
    url = behind.tls_url if request.param == "https" else behind.url
    with httpx.Client(verify=ssl.create_default_context(cafile=authority.ca_file), timeout=60) as client:
        yield Shown(url, client)


def test_the_location_of_an_upload_is_where_it_is_downloaded(shown: Shown, folder: str) -> None:
    url = f"{shown.url}/v1/artifacts/{folder}/a%20b"
    location = shown.client.put(url, content=b"content").raise_for_status().headers["location"]
    assert urljoin(url, location) == url
    assert shown.client.get(urljoin(url, location)).content == b"content"


def test_the_servers_of_the_api_description_are_where_it_answers(shown: Shown) -> None:
    described = f"{shown.url}/openapi.json"
    told = shown.client.get(described).raise_for_status().json()
    servers = [each["url"] for each in told.get("servers", [{"url": "/"}])]
    assert [urljoin(described, server).rstrip("/") for server in servers] == [shown.url]
    assert shown.client.get(urljoin(described, servers[0]).rstrip("/") + "/health").text == "OK"


def test_all_that_the_page_for_people_refers_to_is_there(shown: Shown) -> None:
    page = f"{shown.url}/docs"
    links = [href or url for href, url in _LINK.findall(shown.client.get(page).raise_for_status().text)]
    assert f"{shown.prefix}/openapi.json" in links
    assert len(links) >= 4
    for link in links:
        assert link.startswith(f"{shown.prefix}/")
        assert shown.client.get(urljoin(page, link)).status_code == 200


def test_presigned_urls_lead_to_the_store(shown: Shown, folder: str) -> None:
    shown.client.put(f"{shown.url}/v1/artifacts/{folder}/a", content=b"content").raise_for_status()
    url = presigned(shown, shown.client, f"{folder}/a")
    assert not url.startswith(shown.origin)
    assert shown.client.get(url).content == b"content"


def test_a_multipart_upload_succeeds(shown: Shown, folder: str) -> None:
    upload = Multipart(shown, shown.client, folder)
    assert upload.complete(upload.send(FIRST, LAST)).status_code == 200
    assert shown.client.get(f"{shown.url}/v1/artifacts/{upload.path}").content == FIRST + LAST


def test_mlflow_routes_and_system_routes_answer(shown: Shown, folder: str) -> None:
    put = shown.client.put(f"{shown.mlflow}/artifacts/{folder}/a", content=b"content")
    assert (put.status_code, put.json()) == (200, {})
    listed = shown.client.get(f"{shown.mlflow}/artifacts", params={"path": folder}).json()
    assert listed == {"files": [{"path": "a", "is_dir": False, "file_size": 7}]}
    for route in ("/health", "/version", "/api/3.0/mlflow/server-info"):
        assert shown.client.get(shown.url + route).status_code == 200


@pytest.mark.parametrize("target", ["/metrics", "/%6detrics", "/v1/../metrics", "/metrics?x"])
def test_the_metrics_of_a_replica_are_not_shown(behind: Nginx, target: str) -> None:
    prefix = urlsplit(behind.url).path
    answer = exchange(behind.url, head("GET", prefix + target))
    assert answer.status == 404
    assert b"artifact_proxy_" not in answer.body


def test_outside_the_sub_path_there_is_nothing(replicas: Replicas, start_nginx: Callable[..., Nginx]) -> None:
    nginx = start_nginx(*replicas.urls, static_prefix=PREFIX)
    paths = ["/", "/v1/artifacts/", "/health", "/mlflow", "/mlflow/", f"{PREFIX}x/health"]
    for method, path in product(("GET", "POST", "DELETE"), [*paths, f"/x{PREFIX}/health"]):
        answer = exchange(nginx.url, head(method, path))
        assert (answer.status, answer.headers["content-type"]) == (404, "application/json"), path
        refusal = json.loads(answer.body)
        assert refusal["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert f"{PREFIX}/v1/artifacts/" in refusal["message"]


def test_plain_http_to_the_port_of_tls_is_refused_in_json(
    client: httpx.Client, replicas: Replicas, start_nginx: Callable[..., Nginx], authority: PrivateAuthority
) -> None:
    nginx = start_nginx(*replicas.urls, authority=authority)
    answer = client.get(nginx.tls_url.replace("https:", "http:"))
    assert told(answer) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize("prefix", ["", "/mlflow"])
def test_behind_a_proxy_that_takes_its_path_off_urls_begin_with_that(
    client: httpx.Client, serve: Callable[..., Server], prefix: str
) -> None:
    server = serve("--root-path", "/outer", "--static-prefix", "/mlflow")
    url = server.url.removesuffix("/mlflow") + prefix
    stored = client.put(f"{url}/v1/artifacts/d/a%20b", content=b"x").raise_for_status()
    assert stored.headers["location"] == f"/outer{prefix}/v1/artifacts/d/a%20b"
    servers = client.get(f"{url}/openapi.json").json()["servers"]
    assert [each["url"] for each in servers] == [f"/outer{prefix}"]
    links = [href or link for href, link in _LINK.findall(client.get(f"{url}/docs").text)]
    assert f"/outer{prefix}/openapi.json" in links
    assert all(
        link.startswith(f"/outer{prefix}/docs/static/") or link.endswith("/openapi.json") for link in links
    )
    assert all(client.get(url + link.removeprefix(f"/outer{prefix}")).status_code == 200 for link in links)
