"""The page works wherever a reverse proxy shows it, and is away where it was turned off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.fronts import fronted_at
from tests.browser.listing import heading, row
from tests.support.access import token_stanza
from tests.support.chromium import Complaints, Visitor
from tests.support.guarded import guarded
from tests.support.server import Address, Server


@pytest.fixture(params=["taken off by nginx", "told to the server"])
def shown(
    request: pytest.FixtureRequest, tmp_path: Path, need: Callable[[str], str]
) -> Iterator[tuple[Address, Server, str]]:
    """Where a server is shown below a sub-path, the server, and a token that it knows."""
    token, stanza = token_stanza("alice", "all:")
    if request.param == "told to the server":
        with guarded(tmp_path, stanza, flags=["--static-prefix", "/team/ml"]) as server:
            yield server, server, token
        return
    need("nginx")
    with guarded(tmp_path, stanza) as server, fronted_at(tmp_path / "front", "/sub", server.url) as front:
        yield front, server, token


def test_below_a_sub_path_all_of_it_works(
    shown: tuple[Address, Server, str], visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 401")
    address, server, token = shown
    page = visitor.open(address.url)
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("There is nothing here yet")).to_be_visible()
    (cookie,) = page.context.cookies()
    # No other service on this host gets it.
    assert cookie["path"] == f"{httpx.URL(address.url).path}/v1"

    (tmp_path / "a b.txt").write_text("content")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files(str(tmp_path / "a b.txt"))
    row(page, "a b.txt").click()
    expect(heading(page)).to_have_text("a b.txt")
    expect(page.get_by_role("region", name="Preview")).to_contain_text("content")
    assert page.url == f"{address.url}/ui#/a%20b.txt"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download", exact=True).click()
    assert Path(download.value.path()).read_text() == "content"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("There is nothing here yet")).to_be_visible()
    assert server.tree() == {}
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_below_a_sub_path_the_browsers_own_prompt_leads_back(
    shown: tuple[Address, Server, str], visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 401")
    address, _, token = shown
    page = visitor.open(address.url, http_credentials={"username": "whoever", "password": token})
    page.get_by_role("link", name="the browser's own prompt").click()
    expect(page.get_by_text("There is nothing here yet")).to_be_visible()
    assert httpx.URL(page.url).path == f"{httpx.URL(address.url).path}/ui"


def test_where_it_is_turned_off_there_is_no_page(
    serve: Callable[..., Server], visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    server = serve("--no-ui")
    page = visitor.arrive(server.url)
    for path in ("/ui", "/ui/static/app.js", "/v1/login"):
        answer = page.goto(server.url + path)
        assert answer
        assert answer.status == 404, path
    assert httpx.get(f"{server.native}/").status_code == 200
