"""What others have stored can do nothing to who looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.gallery import Gallery, gallery, preview
from tests.browser.listing import heading, names, row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Complaints, Visitor, settled
from tests.support.previewable import OF_DATA, PWNED, SCRIPT, Previewable, hostile

ARTIFACTS = list(hostile())
IN_A_FRAME = "hostile.html"
BLOCKED = "Blocked script execution"
POLICY = "Content Security Policy"
NAMES = (
    f"<img src=x onerror={SCRIPT}>",
    f'"><svg onload="{SCRIPT}">',
    f"javascript:{SCRIPT}",
    f"';{SCRIPT};'",
    f"{{{{{SCRIPT}}}}} ${{{SCRIPT}}}",
    "__proto__",
    "constructor",
)


HARM = """name => {
    const all = [...document.querySelectorAll("*")];
    const urls = all.flatMap(({href, src, action}) => [href, src, action]);
    return {
        ran: name in window,
        polluted: "polluted" in {},
        handlers: all.flatMap(node => node.getAttributeNames()).filter(name => name.startsWith("on")),
        scripts: all.filter(node => node.localName === "script").length,
        schemes: [...new Set(urls.filter(Boolean).map(url => String(url).split(":")[0]))],
    };
}"""
"""What harm was done, and what a click could still do."""


def assert_unharmed(page: Page) -> None:
    harm = page.evaluate(HARM, PWNED)
    # No blob, which is a document of this page's own rights when it is opened, of what could be a page.
    assert set(harm.pop("schemes")) <= {"http", "https", "mailto"}
    assert harm == {"ran": False, "polluted": False, "handlers": [], "scripts": 1}


@pytest.fixture(scope="module")
def chamber(browser: Browser, local_place: Proxy) -> Iterator[Gallery]:
    """All of them before one page, where one could also harm the next."""
    with gallery(browser, local_place, "hostile", ARTIFACTS) as opened:
        yield opened


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.path)
def test_its_preview_runs_nothing_and_asks_nobody(chamber: Gallery, artifact: Previewable) -> None:
    expected = [BLOCKED, POLICY] if artifact.path == IN_A_FRAME else []
    with chamber.looking_at(artifact, *expected) as page:
        expect(preview(page)).to_contain_text(artifact.shows, use_inner_text=True)
        assert_unharmed(page)


OVER_S3 = ("hostile.svg", OF_DATA, IN_A_FRAME, "hostile.md", "hostile.parquet", "hostile/MLmodel")


def test_over_s3_it_does_neither(browser: Browser, s3_place: Proxy) -> None:
    some = [artifact for artifact in ARTIFACTS if artifact.path in OVER_S3]
    assert len(some) == len(OVER_S3)
    with gallery(browser, s3_place, "hostile", some) as opened:
        for artifact in some:
            test_its_preview_runs_nothing_and_asks_nobody(opened, artifact)


def test_a_drawing_that_does_not_load_comes_from_the_server_and_from_no_memory(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    """As one that a store sends. From memory it would be a page, with all that its viewer may do."""
    (drawing,) = [each for each in ARTIFACTS if each.path == "hostile.svg"]
    local_place.root.put(f"{folder}/hostile.svg", drawing.content)
    complaints.expect("ERR_FAILED")
    page = visitor.arrive(local_place.server.url)
    page.route(
        "**/hostile.svg",
        lambda route: route.abort() if route.request.resource_type == "image" else route.continue_(),
    )
    page.goto(f"{local_place.server.url}/ui#/{folder}/hostile.svg")
    expect(preview(page)).to_contain_text(drawing.shows)
    shown = f"{local_place.server.native}/{folder}/hostile.svg?view=frame"
    assert preview(page).locator("img").evaluate("image => image.src") == shown
    # Nor is it one at its own address.
    complaints.expect("status of 400")
    answer = page.goto(shown)
    assert answer
    assert answer.status == 400


_RUN = """async url => {
    const run = work => Promise.resolve().then(work).then(() => "ran", error => String(error));
    const policy = () => trustedTypes.createPolicy("own", {createScriptURL: url => url});
    return {
        module: await run(() => import(url)),
        worker: await run(() => new Worker(policy().createScriptURL(url))),
        element: await run(() => document.body.append(
            Object.assign(document.createElement("script"), {src: url}))),
    };
}"""


def test_an_artifact_is_no_script_of_the_page(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    local_place.root.put(f"{folder}/script.mjs", f"globalThis.{PWNED} = 1".encode())
    page = settled(visitor.open(local_place.server.url))
    complaints.expect("status of 403", "TrustedTypePolicy", "TrustedScriptURL")
    outcome = page.evaluate(_RUN, f"{local_place.server.native}/{folder}/script.mjs")
    assert "Failed to fetch dynamically imported module" in outcome["module"]
    assert "createPolicy" in outcome["worker"]
    assert "TrustedScriptURL" in outcome["element"]
    assert_unharmed(page)


@pytest.mark.parametrize("artifact", ["hostile.svg", "hostile.html", "hostile.md"])
def test_opened_by_its_own_address_it_is_saved_and_not_shown(
    local_place: Proxy, folder: str, visitor: Visitor, artifact: str
) -> None:
    (found,) = [each for each in ARTIFACTS if each.path == artifact]
    local_place.root.put(f"{folder}/{artifact}", found.content)
    page = visitor.open(local_place.server.url)
    with page.expect_download() as download:
        page.evaluate("url => { location = url }", f"{local_place.server.native}/{folder}/{artifact}")
    assert Path(download.value.path()).read_bytes() == found.content
    assert_unharmed(page)


def test_outside_of_the_page_there_is_no_view_of_it(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 400")
    local_place.root.put(f"{folder}/page.html", f"<p>text</p><script>{SCRIPT}</script>".encode())
    page = visitor.arrive(local_place.server.url)
    page.goto(f"{local_place.server.native}/{folder}/page.html?view=frame")
    assert page.evaluate("name => name in window", PWNED) is False
    expect(page.get_by_text("is for frames of the page")).to_be_visible()


def test_a_name_is_nothing_but_a_name(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    (tmp_path / "sent").mkdir()
    for name in NAMES:
        local_place.root.put(f"{folder}/{name}/{name}", b"content")
        (tmp_path / "sent" / name).write_bytes(b"content")
    page = visitor.open(local_place.server.url, f"{folder}/")
    expect(page.get_by_role("rowheader")).to_have_count(len(NAMES))
    assert sorted(names(page)) == sorted(f"{name}/" for name in NAMES)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload folder").click()
    chooser.value.set_files(str(tmp_path / "sent"))
    expect(row(page, "sent/")).to_be_visible()
    assert_unharmed(page)
    for name in NAMES:
        page.get_by_role("table").locator("a", has_text=name).first.click()
        expect(heading(page)).to_have_text(name)
        page.get_by_role("table").locator("a", has_text=name).first.click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_role("dialog").get_by_role("heading")).to_contain_text(name)
        page.keyboard.press("Escape")
        assert name in page.title()
        assert_unharmed(page)
        page.goto(f"{local_place.server.url}/ui#/{folder}/")
        settled(page)
    assert local_place.root.tree(f"{folder}/sent") == dict.fromkeys(NAMES, b"content")
