"""Who asked, and how, is what nginx saw; what a client says of itself is not believed."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import httpx
import pytest

from tests.support.access_log import complete_log
from tests.support.nginx import Nginx
from tests.support.nginx_fixtures import Replicas
from tests.support.private_authority import PrivateAuthority
from tests.support.recorder import recording

CLIENT = "127.0.0.2"
FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "X-Real-IP": "203.0.113.8",
    "Forwarded": "for=203.0.113.9;host=evil.example;proto=gopher",
}


def from_the_client(url: str, verify: ssl.SSLContext | bool = True) -> httpx.Response:
    """A request with all that can be forged, from an address other than nginx's own."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=CLIENT, verify=verify)) as client:
        return client.get(url, headers=FORGED)


def test_the_access_log_of_the_server_has_the_client_and_not_what_it_forged(
    replicas: Replicas, nginx: Nginx, folder: str
) -> None:
    assert from_the_client(f"{nginx.native}/{folder}/").status_code == 200
    lines = [line for server in replicas for line in complete_log(server).splitlines() if folder in line]
    assert len(lines) == 1
    assert f" {CLIENT} " in lines[0]
    assert "203.0.113." not in lines[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_forged_headers_are_overwritten_or_taken_away(
    start_nginx: Callable[..., Nginx], authority: PrivateAuthority, scheme: str
) -> None:
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with recording() as behind:
        nginx = start_nginx(behind.url, authority=authority)
        base = nginx.tls_url if scheme == "https" else nginx.url
        assert from_the_client(f"{base}/x", trusting).status_code == 204
        asked = behind.asked[-1]
    assert asked.line == "GET /x HTTP/1.1"
    host = base.partition("//")[2]
    assert {name: asked.values(name) for name in ("Host", *FORGED)} == {
        "Host": [host],
        "X-Forwarded-For": [CLIENT],
        "X-Forwarded-Proto": [scheme],
        "X-Forwarded-Host": [host],
        "X-Forwarded-Prefix": [],
        "X-Real-IP": [CLIENT],
        "Forwarded": [],
    }


def test_a_client_that_reaches_the_server_itself_is_logged_under_its_own_address(
    replicas: Replicas, folder: str
) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(local_address=CLIENT)) as client:
        client.get(f"{replicas.one.native}/{folder}/", headers=FORGED)
    (line,) = [line for line in complete_log(replicas.one).splitlines() if folder in line]
    assert f" {CLIENT} " in line
