"""The page at /ui and its static files: how they are served, and to whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import app
from app.api.ui import POLICY
from tests.support.access import token_stanza
from tests.support.access_log import complete_log
from tests.support.guarded import audited, guarded
from tests.support.server import Server

UI = Path(app.__file__).with_name("ui")
FILES = sorted(path.relative_to(UI).as_posix() for path in UI.rglob("*") if path.is_file())
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What browsers insist on; what else there is are licences and notes."""


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.jsonl"


@pytest.fixture(scope="module")
def known(audit_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that knows its callers, shown at a sub-path as well."""
    flags = ("--static-prefix", "/team/ml", "--allowed-hosts", "127.0.0.1", "--audit-log", str(audit_log))
    with guarded(tmp_path_factory.mktemp("ui"), token_stanza("ci", "all:")[1], flags=flags) as server:
        yield server


def url_of(server: Server, file: str) -> str:
    return f"{server.url}/ui" if file == "page.html" else f"{server.url}/ui/{file}"


def test_every_file_is_shown_to_everybody_as_what_it_is(known: Server, client: httpx.Client) -> None:
    assert {Path(file).suffix for file in FILES} >= {".html", ".js", ".css", ".svg"}
    for file in FILES:
        answer = client.get(url_of(known, file))
        assert (answer.status_code, answer.content) == (200, (UI / file).read_bytes()), file
        assert answer.headers["content-type"] == TYPES.get(Path(file).suffix, "text/plain; charset=utf-8")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-length"] == str(len(answer.content))
        assert "set-cookie" not in answer.headers


def test_the_page_may_run_and_load_what_is_its_own_and_nothing_else(
    known: Server, client: httpx.Client
) -> None:
    policy = client.get(f"{known.url}/ui").headers.get_list("content-security-policy")
    assert policy == [POLICY]
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert rules["trusted-types"] == "artifact-proxy-preview", "each other policy could vouch for anything"
    assert "http" not in POLICY
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("file", ["page.html", "static/favicon.svg"])
def test_browsers_keep_a_file_and_ask_whether_it_is_still_the_same(
    known: Server, client: httpx.Client, file: str
) -> None:
    """Firefox takes the headers of a 304 for those of the file it keeps, its policy included."""
    first = client.get(url_of(known, file))
    assert first.headers["cache-control"] == "no-cache"
    own = ("cache-control", "etag", "content-security-policy")
    for known_tags in (first.headers["etag"], f'"other", W/{first.headers["etag"]}', "*"):
        for method in ("GET", "HEAD"):
            again = client.request(method, url_of(known, file), headers={"If-None-Match": known_tags})
            assert (again.status_code, again.content) == (304, b"")
            assert [again.headers[name] for name in own] == [first.headers[name] for name in own]
    for known_tags in ('"other"', "", "x"):
        other = client.get(url_of(known, file), headers={"If-None-Match": known_tags})
        assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("start", ["", "/ui/"])
def test_other_ways_lead_to_the_page_wherever_it_is_shown(
    known: Server, client: httpx.Client, start: str
) -> None:
    for base in (known.url, known.url.removesuffix("/team/ml")):
        for method in ("GET", "HEAD"):
            asked = client.request(method, f"{base}{start or '/'}")
            assert asked.status_code == 307
            assert not asked.headers["location"].startswith(("/", "http"))
            assert asked.next_request is not None
            assert str(asked.next_request.url) == f"{base}/ui"


def test_what_the_page_names_is_there_from_wherever_it_is_shown(known: Server, client: httpx.Client) -> None:
    page = client.get(f"{known.url}/ui")
    links = re.findall(r'(?:href|src)="([^"#]+)', page.text)
    assert len(links) >= 3
    for link in links:
        assert not re.match(r"/|\w+:", link), f"{link} is not relative"
        assert client.get(page.url.join(link)).is_success, link


def test_only_the_servers_own_names_show_it(known: Server, client: httpx.Client) -> None:
    for path in ("/", "/ui", "/ui/", "/ui/static/favicon.svg"):
        answer = client.get(known.url + path, headers={"Host": "evil.example"})
        assert answer.status_code == 421, path
    assert client.get(f"{known.url}/health", headers={"Host": "evil.example"}).is_success


def test_looking_at_it_is_nothing_for_the_audit_log(
    known: Server, client: httpx.Client, audit_log: Path
) -> None:
    for path in ("/ui", "/", "/ui/static/none"):
        client.get(known.url + path, headers={"X-Request-Id": f"look{path.replace('/', '-')}"})
    client.put(f"{known.url}/ui", headers={"X-Request-Id": "look-put"})
    complete_log(known)
    looked = [line["request_id"] for line in audited(audit_log) if line["request_id"].startswith("look")]
    assert looked == ["look-ui-static-none", "look-put"]


def test_what_is_put_beside_the_files_is_not_shown(
    serve: Callable[..., Server], client: httpx.Client, tmp_path: Path
) -> None:
    """Nor is an artifact, whatever it is called."""
    server = serve()
    for name in ("ui/static/evil.js", "static/evil.js", "page.html"):
        assert client.put(f"{server.native}/{name}", content=b"alert(1)").is_success
    for path in ("/ui/static/evil.js", "/ui/evil.js", "/ui/page.html"):
        assert client.get(server.url + path).status_code == 404
