"""Nothing is deleted without a question, which can be answered by the keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.listing import heading, names, row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Complaints, Visitor


@pytest.fixture
def below(place: Proxy, folder: str) -> str:
    for path in ("sub/a.bin", "sub/b.bin", "sub/deep/c.bin", "kept.bin"):
        place.root.put(f"{folder}/{path}", b"content")
    return folder


def asked(page: Page, name: str) -> Locator:
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(f"Delete “{name}”?")
    return dialog


def test_a_file_is_deleted_and_its_folder_shown(place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(place.server.url, f"{below}/sub/a.bin")
    page.get_by_role("button", name="Delete").click()
    asked(page, "a.bin").get_by_role("button", name="Delete").click()
    expect(heading(page)).to_have_text("sub")
    expect(row(page, "b.bin")).to_be_visible()
    assert names(page) == ["deep/", "b.bin"]
    assert sorted(place.root.tree(below)) == ["kept.bin", "sub/b.bin", "sub/deep/c.bin"]


def test_a_folder_is_deleted_with_all_below_it(place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(place.server.url, f"{below}/sub/")
    page.get_by_role("button", name="Delete folder").click()
    asked(page, "sub").get_by_role("button", name="Delete").click()
    expect(row(page, "kept.bin")).to_be_visible()
    assert names(page) == ["kept.bin"]
    assert sorted(place.root.tree(below)) == ["kept.bin"]


def test_the_keyboard_is_enough_and_at_first_it_cancels(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    local_place.root.put(f"{folder}/a.bin", b"content")
    page = visitor.open(local_place.server.url, f"{folder}/a.bin")
    delete = page.get_by_role("button", name="Delete")
    for answer in ("Enter", "Escape"):
        delete.press("Enter")
        dialog = asked(page, "a.bin")
        expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press(answer)
        expect(dialog).to_be_hidden()
        expect(delete).to_be_focused()
    assert local_place.root.tree(folder) == {"a.bin": b"content"}
    delete.press("Enter")
    dialog = asked(page, "a.bin")
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Delete")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("This folder is empty")).to_be_visible()
    assert local_place.root.tree(folder) == {}


def test_an_artifact_that_was_replaced_meanwhile_is_kept(
    place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 412")
    place.root.put(f"{folder}/a.bin", b"seen")
    page = visitor.open(place.server.url, f"{folder}/a.bin")
    page.get_by_role("button", name="Delete").click()
    place.root.put(f"{folder}/a.bin", b"new content")
    asked(page, "a.bin").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("replaced")
    assert place.root.tree(folder) == {"a.bin": b"new content"}
