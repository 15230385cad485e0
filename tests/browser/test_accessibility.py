"""axe-core finds nothing, wherever one may be; and nothing is wider than a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.gallery import Gallery, gallery
from tests.browser.listing import heading, row
from tests.e2e.conftest import Proxy
from tests.support.access import token_stanza
from tests.support.chromium import Complaints, Visitor, inaccessible, settled
from tests.support.guarded import guarded
from tests.support.previewable import Previewable, benign

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": PHONE,
    "forced colours": {"forced_colors": "active"},
}
_SHOWN = [
    *("picture.png", "drawing.svg", "tone.wav", "film.webm", "train.log", "README.md", "params.json"),
    *("metrics.ndjson", "conda.yaml", "table.csv", "snappy.parquet", "plot.html", "model.safetensors"),
    *("records.npy", "arrays.npz", "MLmodel", "study.ipynb", "model.pkl"),
]
KINDS = [artifact for artifact in benign() if artifact.path in _SHOWN]
LONG = "a-name-without-any-place-to-break-it-" * 5


def is_too_wide(page: Page) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide


def assert_accessible(page: Page) -> None:
    assert inaccessible(page) == []
    assert not is_too_wide(page)


@pytest.fixture(scope="module")
def below(local_place: Proxy) -> str:
    """A folder with all that a listing can have."""
    for path in ("sub/a", "b.txt", f"{LONG}.bin", "MLmodel", f"{LONG}/{LONG}/c"):
        local_place.root.put(f"accessible/{path}", b"flavors: {}\n")
    return "accessible"


@pytest.mark.parametrize("look", LOOKS)
def test_a_listing_is_accessible(local_place: Proxy, below: str, visitor: Visitor, look: str) -> None:
    page = visitor.open(local_place.server.url, f"{below}/", **LOOKS[look])
    expect(row(page, "b.txt")).to_be_visible()
    page.get_by_text("Use elsewhere").click()
    assert_accessible(page)


@pytest.fixture(scope="module", params=["light", "dark", "phone"])
def kinds(
    request: pytest.FixtureRequest, browser: Browser, local_place: Proxy
) -> Iterator[tuple[str, Gallery]]:
    """The look, and a gallery of all kinds that looks so."""
    with gallery(browser, local_place, "kinds", KINDS, **LOOKS[request.param]) as opened:
        yield request.param, opened


@pytest.mark.parametrize("artifact", KINDS, ids=lambda artifact: artifact.path)
def test_details_with_a_preview_are_accessible(kinds: tuple[str, Gallery], artifact: Previewable) -> None:
    look, opened = kinds
    # All else is the same in every look.
    rules = {"light": [], "dark": ["color-contrast"], "phone": ["scrollable-region-focusable", "target-size"]}
    with opened.looking_at(artifact) as page:
        assert inaccessible(page, *rules[look]) == []
        assert not is_too_wide(page)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_the_sign_in_is_accessible(
    visitor: Visitor, complaints: Complaints, guarded_url: str, look: str
) -> None:
    complaints.expect("status of 401")
    page = visitor.open(guarded_url, **LOOKS[look])
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    assert_accessible(page)


@pytest.fixture(scope="module")
def guarded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with guarded(tmp_path_factory.mktemp("sign-in"), token_stanza("alice", "all:")[1]) as server:
        yield server.url


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_uploads_and_the_question_before_a_deletion_are_accessible(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints, tmp_path: Path, look: str
) -> None:
    complaints.expect("status of 412")
    for name in ("there.txt", f"{LONG}.bin"):
        (tmp_path / name).write_text("new")
    local_place.root.put(f"{folder}/there.txt", b"old")
    page = settled(visitor.open(local_place.server.url, f"{folder}/", **LOOKS[look]))
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files([str(file) for file in tmp_path.iterdir()])
    expect(page.get_by_role("button", name="Replace all")).to_be_visible()
    expect(row(page, f"{LONG}.bin")).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Delete folder").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_accessible(page)


def test_what_is_not_there_is_told_accessibly(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints
) -> None:
    complaints.expect("status of 404")
    page = visitor.open(local_place.server.url, f"{folder}/{LONG}", **PHONE)
    expect(page.get_by_role("alert")).to_be_visible()
    assert_accessible(page)


def test_a_phone_shows_size_and_time_and_offers_everything(
    local_place: Proxy, below: str, visitor: Visitor
) -> None:
    page = visitor.open(local_place.server.url, f"{below}/", **PHONE)
    expect(page.get_by_role("row", name="b.txt")).to_contain_text("12 bytes")
    row(page, f"{LONG}/").tap()
    expect(heading(page)).to_have_text(LONG)
    assert not is_too_wide(page)
    for button in ("Upload files", "Upload folder", "Delete folder"):
        expect(page.get_by_role("button", name=button)).to_be_visible()


def test_text_twice_as_large_still_fits(local_place: Proxy, below: str, visitor: Visitor) -> None:
    """As zooming in by 400 % does to a window of 1280 (WCAG 1.4.10)."""
    page = visitor.open(local_place.server.url, f"{below}/", viewport={"width": 320, "height": 256})
    expect(row(page, "b.txt")).to_be_visible()
    assert not is_too_wide(page)
