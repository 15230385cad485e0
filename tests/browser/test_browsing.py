"""The tree is walked through, sorted and filtered, over each kind of storage."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.listing import heading, names, row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Complaints, Visitor

CONTENT = {
    "models/a/model.bin": bytes(1536),
    "models/a/MLmodel": b"flavors: {}\n",
    "models/readme.txt": b"hi\n",
}


def fill(place: Proxy, folder: str) -> None:
    for path, content in CONTENT.items():
        place.root.put(f"{folder}/{path}", content)


def follow(page: Page, name: str) -> None:
    page.get_by_role("table").get_by_role("link", name=name, exact=True).click()


def crumbs(page: Page) -> list[str]:
    return page.get_by_role("navigation", name="Breadcrumbs").get_by_role("listitem").all_inner_texts()


def test_a_click_leads_down_to_the_artifact_and_breadcrumbs_lead_up(
    place: Proxy, folder: str, visitor: Visitor
) -> None:
    fill(place, folder)
    page = visitor.open(place.server.url)
    expect(heading(page)).to_have_text("Artifacts")
    for name in (folder, "models", "a"):
        follow(page, f"{name}/")
        expect(heading(page)).to_have_text(name)
    follow(page, "model.bin")
    expect(heading(page)).to_have_text("model.bin")
    assert crumbs(page) == ["Artifacts", folder, "models", "a", "model.bin"]
    current = page.get_by_role("navigation", name="Breadcrumbs").locator("[aria-current=page]")
    expect(current).to_have_text("model.bin")

    page.get_by_role("navigation", name="Breadcrumbs").get_by_role("link", name="models").click()
    expect(heading(page)).to_have_text("models")
    expect(row(page, "readme.txt")).to_be_visible()
    assert page.url.endswith(f"/ui#/{folder}/models/")


def test_a_folder_is_found_without_its_slash(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 400")  # the page asks whether it is an artifact
    fill(local_place, folder)
    page = visitor.open(local_place.server.url, f"{folder}/models")
    expect(row(page, "readme.txt")).to_be_visible()
    assert page.url.endswith(f"/ui#/{folder}/models/")


def test_back_and_forward_return_to_what_was_seen(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    fill(local_place, folder)
    page = visitor.open(local_place.server.url, f"{folder}/")
    follow(page, "models/")
    follow(page, "readme.txt")
    expect(heading(page)).to_have_text("readme.txt")
    page.go_back()
    expect(row(page, "readme.txt")).to_be_visible()
    page.go_back()
    expect(row(page, "models/")).to_be_visible()
    page.go_forward()
    page.go_forward()
    expect(heading(page)).to_have_text("readme.txt")


def test_the_details_tell_size_time_version_and_type(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    fill(local_place, folder)
    page = visitor.open(local_place.server.url, f"{folder}/models/a/model.bin")
    expect(heading(page)).to_have_text("model.bin")
    details = dict(
        zip(
            page.get_by_role("main").locator("dt").all_inner_texts(),
            page.get_by_role("main").locator("dd").all_inner_texts(),
            strict=True,
        )
    )
    assert re.match(r"1\.5\D+KiB|1,536", details["Size"]), details
    assert re.match(r'"\S+"', details["ETag"])
    assert details["Media type"] == "application/octet-stream"
    assert str(datetime.now(UTC).year) in details["Modified"]
    assert details["Path"].startswith(f"{folder}/models/a/model.bin")


def test_a_click_on_a_column_sorts_and_folders_stay_first(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    sizes = {"b.bin": 2, "a.bin": 3000, "c.bin": 10, "z/inner": 1}
    for name, size in sizes.items():
        local_place.root.put(f"{folder}/{name}", bytes(size))
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(row(page, "c.bin")).to_be_visible()
    assert names(page) == ["z/", "a.bin", "b.bin", "c.bin"]
    by_size = page.get_by_role("columnheader", name="Size")
    by_size.get_by_role("button").click()
    expect(by_size).to_have_attribute("aria-sort", "descending")
    assert names(page) == ["z/", "a.bin", "c.bin", "b.bin"]
    by_size.get_by_role("button").click()
    expect(by_size).to_have_attribute("aria-sort", "ascending")
    assert names(page) == ["z/", "b.bin", "c.bin", "a.bin"]
    by_name = page.get_by_role("columnheader", name="Name")
    by_name.get_by_role("button").click()
    by_name.get_by_role("button").click()
    expect(by_name).to_have_attribute("aria-sort", "descending")
    assert names(page) == ["z/", "c.bin", "b.bin", "a.bin"]


def test_times_are_sorted_as_times(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    for name, moment in {"a": 3_000_000_000, "b": 1_000_000_000, "c": 2_000_000_000}.items():
        local_place.root.put(f"{folder}/{name}", b"")
        os.utime(local_place.server.root / folder / name, (moment, moment))
    page = visitor.open(local_place.server.url, f"{folder}/")
    page.get_by_role("columnheader", name="Modified").get_by_role("button").click()
    expect(page.get_by_role("rowheader").first).to_have_text("a")
    assert names(page) == ["a", "c", "b"]


def test_the_filter_leaves_what_has_its_words(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    fill(local_place, folder)
    page = visitor.open(local_place.server.url, f"{folder}/models/a/")
    expect(row(page, "model.bin")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("BIN")
    expect(page.get_by_role("searchbox", name="Filter by name")).to_have_value("BIN")
    expect(row(page, "MLmodel")).to_be_hidden()
    assert names(page) == ["model.bin"]
    page.keyboard.press("Escape")
    expect(row(page, "MLmodel")).to_be_visible()


def test_a_directory_of_more_than_a_thousand_is_turned_over(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    directory = local_place.server.root / folder
    directory.mkdir()
    for number in range(1003):
        (directory / f"{number:04}").touch()
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(row(page, "0999")).to_be_visible()
    expect(page.get_by_text("Sorting and filtering concern this page only")).to_be_visible()
    page.get_by_role("link", name="Next page").click()
    expect(row(page, "1002")).to_be_visible()
    assert names(page) == ["1000", "1001", "1002"]
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    page.get_by_role("link", name="Previous page").click()
    expect(row(page, "0000")).to_be_visible()
    page.go_back()
    expect(row(page, "1002")).to_be_visible()
    page.reload()
    expect(row(page, "1002")).to_be_visible()
    page.get_by_role("link", name="First page").click()
    expect(row(page, "0000")).to_be_visible()


NAMES = ("a b", "100%", "%20", "#1", "?q=1", "ü", "u\u0308", "'\"", "<b>", "a:b", "+&;=", "日本語", "CON")


def test_whatever_a_name_has_its_link_leads_to_it(place: Proxy, folder: str, visitor: Visitor) -> None:
    for number, name in enumerate(NAMES):
        place.root.put(f"{folder}/{name}/f{number}", b"")
    page = visitor.open(place.server.url, f"{folder}/")
    for number, name in enumerate(NAMES):
        follow(page, f"{name}/")
        expect(row(page, f"f{number}")).to_be_visible()
        expect(heading(page)).to_have_text(name)
        page.go_back()


def test_characters_that_could_deceive_are_spelled_out(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    local_place.root.put(f"{folder}/photo\u202egpj.exe", b"")
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(page.get_by_role("rowheader")).to_contain_text("U+202E")
    assert "\u202e" not in page.get_by_role("main").inner_text()


def test_an_empty_folder_says_so(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(page.get_by_text("This folder is empty")).to_be_visible()


def test_what_is_not_there_is_told(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    local_place.root.put(f"{folder}/there", b"")
    page = visitor.open(local_place.server.url, f"{folder}/missing.bin")
    expect(page.get_by_role("alert")).to_contain_text("missing.bin")
    page.get_by_role("link", name="Go to its folder").click()
    expect(row(page, "there")).to_be_visible()


def test_a_server_that_was_away_is_asked_again(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    local_place.root.put(f"{folder}/sub/there", b"")
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(row(page, "sub/")).to_be_visible()
    page.context.set_offline(True)
    follow(page, "sub/")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(row(page, "there")).to_be_visible()


@pytest.mark.parametrize(
    "wrong", ["{}/../../v1/session", "{}/%2e%2e/", "{}//a", "{}/%2e%2e%2f%2e%2e%2fhealth", "%ff"]
)
def test_a_hash_that_names_no_place_is_not_followed(
    local_place: Proxy, folder: str, visitor: Visitor, wrong: str
) -> None:
    page = visitor.open(local_place.server.url)
    expect(heading(page)).to_have_text("Artifacts")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("hash => { location.hash = hash }", f"#/{wrong.format(folder)}")
    expect(page.get_by_role("alert")).to_contain_text("not well formed")
    assert not [url for url in asked if "/v1/" in url]
