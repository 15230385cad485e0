"""The page and its session behind the shipped nginx: at / or a sub-path, over TLS or not."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import httpx
import pytest

from app.api.ui import POLICY
from tests.support.access import bearer, token_stanza
from tests.support.guarded import DENIED, guarded, told
from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import PREFIX
from tests.support.private_authority import PrivateAuthority

TOKEN, SOMEBODY = token_stanza("somebody", "all:")


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at /", "at a sub-path"])
def behind(
    request: pytest.FixtureRequest,
    nginx_installed: None,
    authority: PrivateAuthority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Nginx]:
    directory = tmp_path_factory.mktemp("page")
    flags = ["--accel-redirect", "/_files", *(["--static-prefix", request.param] if request.param else [])]
    with (
        guarded(directory, SOMEBODY, flags=flags) as server,
        running_nginx(
            directory / "nginx",
            [server.url],
            static_prefix=request.param,
            authority=authority,
            ARTIFACT_ROOT=str(server.root),
        ) as nginx,
    ):
        yield nginx


@pytest.fixture(params=["http", "https"])
def url(request: pytest.FixtureRequest, behind: Nginx) -> str:
    return behind.tls_url if request.param == "https" else behind.url


@pytest.fixture
def browser(authority: PrivateAuthority) -> Iterator[httpx.Client]:
    """It keeps cookies, and follows where it is led."""
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    with httpx.Client(timeout=60, verify=trusted, follow_redirects=True) as opened:
        yield opened


def test_the_page_is_shown_with_its_policy(browser: httpx.Client, url: str) -> None:
    for path in ("/", "/ui", "/ui/"):
        page = browser.get(url + path)
        assert (page.status_code, str(page.url)) == (200, f"{url}/ui")
        assert page.headers.get_list("content-security-policy") == [POLICY]
        assert browser.get(page.url.join("ui/static/favicon.svg")).headers["content-type"] == "image/svg+xml"


def test_who_signs_in_may_do_what_the_token_may_and_is_served_from_where_all_are(
    browser: httpx.Client, url: str, behind: Nginx
) -> None:
    origin = {"Origin": str(httpx.URL(url).copy_with(path="/")).rstrip("/")}
    artifact = f"{url}/v1/artifacts/d/report.html"
    signed_in = browser.put(f"{url}/v1/session", headers=bearer(TOKEN) | origin)
    assert signed_in.status_code == 204
    (cookie,) = browser.cookies.jar
    assert (cookie.path, cookie.secure) == (httpx.URL(url).path.rstrip("/") + "/v1", url.startswith("https:"))
    assert told(browser.put(artifact, content=b"<h1>x</h1>")) == DENIED
    assert browser.put(artifact, content=b"<h1>x</h1>", headers=origin).is_success
    for query, kept in (("", "attachment; filename=report.html"), ("?view=frame", "inline")):
        got = browser.get(artifact + query)
        assert (got.content, got.headers["content-disposition"]) == (b"<h1>x</h1>", kept)
        assert got.headers.get_list("cache-control") == ["private, no-cache"]
    assert browser.delete(artifact, headers=origin).status_code == 204
    assert browser.delete(f"{url}/v1/session", headers=origin).status_code == 204
    assert browser.get(f"{url}/v1/artifacts/").status_code == 401
    assert TOKEN not in behind.log()
