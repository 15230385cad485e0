"""Under a name and without TLS a browser holds a page for insecure, and lets it do less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.listing import heading, row
from tests.support.access import token_stanza
from tests.support.chromium import LESS_TRUSTED, NAME, Complaints, Visitor
from tests.support.guarded import guarded
from tests.support.server import Server


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    token, stanza = token_stanza("alice", "all:")
    with guarded(tmp_path_factory.mktemp("plain-http"), stanza) as server:
        (server.root / "first.txt").write_text("first")
        yield server, token


@pytest.fixture
def page(known: tuple[Server, str], visitor: Visitor, complaints: Complaints) -> Page:
    """Alice's, signed in."""
    complaints.expect(LESS_TRUSTED, "status of 401")
    server, token = known
    opened = visitor.open(f"http://{NAME}:{urlsplit(server.url).port}")
    opened.get_by_label("Token").fill(token)
    opened.get_by_role("button", name="Sign in").click()
    expect(row(opened, "first.txt")).to_be_visible()
    assert opened.evaluate("isSecureContext") is False
    return opened


def test_files_are_sent_and_deleted(page: Page, known: tuple[Server, str], tmp_path: Path) -> None:
    server, _ = known
    (tmp_path / "second.txt").write_text("second")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files(str(tmp_path / "second.txt"))
    row(page, "second.txt").click()
    assert server.tree()["second.txt"] == b"second"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "first.txt")).to_be_visible()
    assert "second.txt" not in server.tree()


def test_copy_buttons_copy(page: Page) -> None:
    row(page, "first.txt").click()
    expect(heading(page)).to_have_text("first.txt")
    page.get_by_role("button", name="Copy curl command").click()
    expect(page.get_by_role("status")).to_contain_text("Copied")
    page.go_back()
    field = page.get_by_role("searchbox")
    field.focus()
    page.keyboard.press("Control+V")
    assert field.input_value().startswith("curl ")
    assert f"http://{NAME}" in field.input_value()


def test_a_preview_is_shown(page: Page) -> None:
    row(page, "first.txt").click()
    expect(page.get_by_role("region", name="Preview")).to_contain_text("first")


def test_who_signs_out_is_not_known_any_more(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.context.cookies() == []
