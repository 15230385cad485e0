"""People are known in every way that the server has, and what they show stays out of reach of scripts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.fronts import fronted_at
from tests.browser.listing import heading, row
from tests.e2e.conftest import Proxy
from tests.support.access import access_file, issuer_stanza, proxy_header_stanza, rule, token_stanza
from tests.support.access_log import logged
from tests.support.chromium import Complaints, Visitor
from tests.support.guarded import guarded
from tests.support.loopback import listening
from tests.support.oidc import AUDIENCE, Provider, providing, rsa_key
from tests.support.server import Server
from tests.support.waiting import wait_until

COOKIE = "artifact-proxy-session"
UNKNOWN = "status of 401"


@dataclass(frozen=True)
class Known:
    server: Server
    token: str
    provider: Provider


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    """A server that knows alice by her token, and whom a reverse proxy or an OpenID provider names."""
    token, alice = token_stanza("alice", "all:")
    header = proxy_header_stanza(["127.0.0.1"], rule("read,list:"), header="X-Forwarded-User")
    with providing(rsa_key()) as provider:
        issuer = issuer_stanza("corp", provider.url, AUDIENCE, rule("read,list:"))
        with guarded(tmp_path_factory.mktemp("known"), alice, header, issuer) as server:
            (server.root / "hello.txt").write_text("hello")
            yield Known(server, token, provider)


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def kept_by_scripts(page: Page) -> str:
    """All that a script of the page could have kept, or could read."""
    kept: str = page.evaluate(
        """async () => JSON.stringify([
            document.cookie, {...localStorage}, {...sessionStorage}, location.href, history.state,
            await indexedDB.databases(), await (self.caches?.keys() ?? []), document.body.innerHTML,
            [...document.querySelectorAll("input")].map(field => field.value)])"""
    )
    return kept


def test_without_an_access_file_nobody_is_asked(local_place: Proxy, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url)
    expect(heading(page)).to_have_text("Artifacts")
    expect(page.get_by_label("Token")).to_have_count(0)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_a_token_is_kept_for_the_session_where_no_script_can_read_it(
    known: Known, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect(UNKNOWN)
    page = visitor.open(known.server.url, "hello.txt")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(page, known.token)
    expect(heading(page)).to_have_text("hello.txt")
    expect(page.get_by_role("banner")).to_contain_text("alice")
    page.reload()
    expect(heading(page)).to_have_text("hello.txt")

    (cookie,) = page.context.cookies()
    assert cookie["name"] == COOKIE
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/v1")
    assert cookie["expires"] == -1
    kept = kept_by_scripts(page)
    assert "hello.txt" in kept
    assert known.token not in kept
    assert cookie["value"] not in kept

    page.get_by_role("button", name="Sign out").click()
    sign_in(page, known.provider.token(sub="bob"))
    expect(page.get_by_role("banner")).to_contain_text("bob")
    expect(heading(page)).to_have_text("hello.txt")
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def test_a_cookie_of_another_site_is_told_with_the_way_out(
    known: Known, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect(UNKNOWN)
    page = visitor.arrive(known.server.url)
    foreign = {"name": COOKIE, "value": "Zm9yZWlnbg", "domain": "127.0.0.1", "path": "/"}
    page.context.add_cookies([foreign])  # type: ignore[list-item]  # a SetCookieParam
    page.goto(f"{known.server.url}/ui")
    sign_in(page, known.token)
    expect(page.get_by_role("alert")).to_contain_text("Clear the cookies of this site")
    # The foreign one does not stay alone, either.
    assert len(page.context.cookies(f"{known.server.url}/v1/session")) == 2
    page.context.clear_cookies()
    sign_in(page, known.token)
    expect(row(page, "hello.txt")).to_be_visible()


def test_who_signs_out_is_not_known_any_more(known: Known, visitor: Visitor, complaints: Complaints) -> None:
    complaints.expect(UNKNOWN)
    page = visitor.open(known.server.url)
    sign_in(page, known.token)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []
    expect(page.get_by_role("main")).not_to_contain_text("hello.txt")
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_wrong_token_is_refused_in_words(known: Known, visitor: Visitor, complaints: Complaints) -> None:
    complaints.expect(UNKNOWN)
    page = visitor.open(known.server.url)
    for wrong in (f"{known.token}x", "with space", "ключ"):
        sign_in(page, wrong)
        expect(page.get_by_role("alert")).to_contain_text("token")
        assert page.context.cookies() == []
    sign_in(page, known.token)
    expect(row(page, "hello.txt")).to_be_visible()


def test_the_browsers_own_prompt_is_enough(known: Known, visitor: Visitor, complaints: Complaints) -> None:
    complaints.expect(UNKNOWN)
    credentials = {"username": "whoever", "password": known.token}
    page = visitor.arrive(known.server.url, http_credentials=credentials)
    page.goto(f"{known.server.url}/ui")
    page.get_by_role("link", name="the browser's own prompt").click()
    expect(row(page, "hello.txt")).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("alice")
    assert page.context.cookies() == []


def test_whom_a_reverse_proxy_names_is_not_asked(
    known: Known, visitor: Visitor, tmp_path: Path, need: Callable[[str], str]
) -> None:
    need("nginx")
    named = 'proxy_set_header X-Forwarded-User "carol";'
    with fronted_at(tmp_path / "front", "", known.server.url, named) as front:
        page = visitor.open(front.url)
        expect(row(page, "hello.txt")).to_be_visible()
        expect(page.get_by_role("banner")).to_contain_text("carol")
        # Only the reverse proxy could end what it began.
        expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_a_token_that_is_taken_away_in_mid_session_leads_to_the_sign_in(
    visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect(UNKNOWN)
    (first, one), (second, other) = token_stanza("alice", "all:"), token_stanza("alice", "all:")
    with guarded(tmp_path, one) as server:
        (server.root / "sub").mkdir()
        (server.root / "sub" / "hello.txt").write_text("hello")
        page = visitor.open(server.url)
        sign_in(page, first)
        expect(row(page, "sub/")).to_be_visible()
        access_file(tmp_path, other)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "The access file was reloaded." in server.log(), "the other access file")
        row(page, "sub/").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        sign_in(page, second)
        # One is where one wanted to go.
        expect(row(page, "hello.txt")).to_be_visible()


class _Blank(BaseHTTPRequestHandler):
    """A page of somebody else, which may do whatever a page may."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


_ASK_FROM_ELSEWHERE = """url => {
    const form = new FormData();
    form.append("file", new Blob(["planted"]), "planted.txt");
    const options = {mode: "no-cors", credentials: "include"};
    const post = {...options, method: "POST", body: form};
    return Promise.allSettled([fetch(url + "/hello.txt", options), fetch(url + "/", post)]);
}"""


_FOLLOW = """url => {
    document.body.append(Object.assign(document.createElement("a"), {href: url}));
    document.querySelector("a").click();
}"""


def test_a_page_of_another_port_cannot_use_the_session(
    known: Known, visitor: Visitor, complaints: Complaints
) -> None:
    """For a browser it is of the same site, so that the cookie is sent."""
    complaints.expect(UNKNOWN)
    page = visitor.arrive(known.server.url)
    with listening(_Blank) as elsewhere:
        complaints.expect(f"a request left for {elsewhere}", "a request left for http://mallory")
        page.goto(elsewhere)
        login = f"{known.server.url}/v1/login".replace("//", f"//mallory:{known.token}@")
        with page.expect_navigation():
            page.evaluate(_FOLLOW, login)
    # Nor has it signed anybody in by a link with a password.
    page.goto(f"{known.server.url}/ui")
    sign_in(page, known.token)
    expect(row(page, "hello.txt")).to_be_visible()
    before = len(logged(known.server, "/v1/artifacts/"))
    with listening(_Blank) as elsewhere:
        complaints.expect(f"a request left for {elsewhere}", "ERR_BLOCKED_BY_RESPONSE")
        page.goto(elsewhere)
        page.evaluate(_ASK_FROM_ELSEWHERE, known.server.native)
        wait_until(lambda: len(logged(known.server, "/v1/artifacts/")) == before + 2, "both requests")
    asked = logged(known.server, "/v1/artifacts/")[before:]
    assert {(each.method, each.status) for each in asked} == {("GET", 401), ("POST", 403)}
    assert list(known.server.tree()) == ["hello.txt"]
