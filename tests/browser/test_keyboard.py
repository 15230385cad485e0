"""The page is used without a mouse: everything gets the focus, in order, and says where one is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.listing import heading, row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Visitor, settled

FOCUSED = """() => {
    const node = document.activeElement;
    return node.getAttribute("aria-label") ?? node.innerText.trim();
}"""

IS_MARKED = """() => {
    const style = getComputedStyle(document.activeElement);
    return (style.outlineStyle !== "none" && style.outlineWidth !== "0px") || style.boxShadow !== "none";
}"""
# The focus goes on from where it was last, also when that has lost it.
TO_THE_TOP = """() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
}"""


@pytest.fixture
def below(local_place: Proxy, folder: str) -> str:
    for path in ("sub/a.txt", "b.txt"):
        local_place.root.put(f"{folder}/{path}", b"content")
    return folder


def tabbed(page: Page) -> list[str]:
    """What has the focus after each press of Tab, from the top of the page to its end."""
    page.evaluate(TO_THE_TOP)
    found: list[str] = []
    while True:
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            return found
        found.append(page.evaluate(FOCUSED))
        assert len(found) < 100, "the focus goes round without an end"


def test_tab_reaches_everything_in_the_order_in_which_it_is_shown(
    local_place: Proxy, below: str, visitor: Visitor
) -> None:
    page = visitor.open(local_place.server.url, f"{below}/")
    expect(row(page, "b.txt")).to_be_visible()
    page.get_by_text("Use elsewhere").click()
    assert tabbed(page) == [
        "Skip to content",
        "artifact-proxy",
        "Artifacts",
        "Upload files",
        "Upload folder",
        "Download as zip",
        "Download as tar",
        "Delete folder",
        "Use elsewhere",
        "Copy path",
        "Copy curl command",
        "Copy MLflow URI",
        "Filter by name",
        "Name",
        "Size",
        "Modified",
        "sub/",
        "b.txt",
        "Download b.txt",
    ]


def test_whatever_has_the_focus_is_seen_to_have_it(local_place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url, f"{below}/")
    expect(row(page, "b.txt")).to_be_visible()
    unmarked = []
    for _ in tabbed(page):
        page.keyboard.press("Tab")
        if not page.evaluate(IS_MARKED):
            unmarked.append(page.evaluate(FOCUSED))
    assert unmarked == []


def test_one_walks_down_and_up_by_enter_alone(local_place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url, f"{below}/")
    row(page, "sub/").press("Enter")
    expect(heading(page)).to_have_text("sub")
    # So that a screen reader reads what is new, and Tab goes on from there.
    expect(heading(page)).to_be_focused()
    row(page, "a.txt").press("Enter")
    expect(heading(page)).to_have_text("a.txt")
    expect(heading(page)).to_be_focused()
    assert page.title().startswith("a.txt")
    page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name=below).press("Enter")
    expect(heading(page)).to_be_focused()
    expect(row(page, "b.txt")).to_be_visible()


def test_the_first_key_skips_what_is_on_every_page(local_place: Proxy, below: str, visitor: Visitor) -> None:
    page = settled(visitor.open(local_place.server.url, f"{below}/"))
    page.evaluate(TO_THE_TOP)
    page.keyboard.press("Tab")
    skip = page.get_by_role("button", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    expect(heading(page)).to_have_text(below)


def test_columns_are_sorted_by_the_keyboard_which_stays_where_it_is(
    local_place: Proxy, below: str, visitor: Visitor
) -> None:
    page = visitor.open(local_place.server.url, f"{below}/")
    header = page.get_by_role("columnheader", name="Size")
    header.get_by_role("button").press("Space")
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(header.get_by_role("button")).to_be_focused()


def test_what_happens_is_announced(local_place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url, f"{below}/")
    status = page.get_by_role("status")
    expect(status).to_contain_text("1 folder, 1 artifact")
    page.get_by_role("searchbox").fill("b.t")
    expect(status).to_contain_text("1 entry")
    row(page, "b.txt").press("Enter")
    page.get_by_role("button", name="Delete", exact=True).press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Delete").press("Enter")
    expect(heading(page)).to_have_text(below)
    expect(row(page, "b.txt")).to_have_count(0)
