"""Each kind of artifact is shown for what it is, over each kind of storage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.browser.gallery import Gallery, gallery, preview
from tests.browser.listing import row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Visitor
from tests.support.previewable import Previewable, benign, unreadable

SHOWN = list(benign())
REFUSED = list(unreadable())


@pytest.fixture(scope="module")
def local_gallery(browser: Browser, local_place: Proxy) -> Iterator[Gallery]:
    with gallery(browser, local_place, "previews", SHOWN + REFUSED) as opened:
        yield opened


@pytest.fixture(scope="module")
def s3_gallery(browser: Browser, s3_place: Proxy) -> Iterator[Gallery]:
    with gallery(browser, s3_place, "previews", SHOWN) as opened:
        yield opened


def assert_is_shown(page: Page, artifact: Previewable) -> None:
    expect(preview(page)).to_contain_text(artifact.shows, use_inner_text=True)
    expect(preview(page)).not_to_contain_text("No preview:")
    empty = "images => images.filter(image => image.naturalWidth === 0).map(image => image.src)"
    assert preview(page).locator("img").evaluate_all(empty) == []


@pytest.mark.parametrize("artifact", SHOWN, ids=lambda artifact: artifact.path)
def test_it_is_shown(local_gallery: Gallery, artifact: Previewable) -> None:
    with local_gallery.looking_at(artifact) as page:
        assert_is_shown(page, artifact)


@pytest.mark.parametrize("artifact", SHOWN, ids=lambda artifact: artifact.path)
def test_it_is_shown_over_s3(s3_gallery: Gallery, artifact: Previewable) -> None:
    with s3_gallery.looking_at(artifact) as page:
        assert_is_shown(page, artifact)


@pytest.mark.parametrize("artifact", REFUSED, ids=lambda artifact: artifact.path)
def test_what_cannot_be_shown_is_told_calmly(local_gallery: Gallery, artifact: Previewable) -> None:
    with local_gallery.looking_at(artifact) as page:
        expect(preview(page)).to_contain_text(artifact.shows)
        expect(page.get_by_role("link", name="Download", exact=True)).to_be_visible()


@pytest.mark.parametrize("path", ["tone.wav", "film.webm"])
def test_sound_and_film_can_be_played_from_anywhere(local_gallery: Gallery, path: str) -> None:
    with local_gallery.looking_at(named(path)) as page:
        player = preview(page).locator("audio, video")
        page.wait_for_function("player => player.readyState >= 1", arg=player.element_handle())
        assert player.evaluate("player => player.duration > 0 && player.seekable.end(0) === player.duration")


def test_a_page_is_shown_in_a_frame_of_its_own(local_gallery: Gallery) -> None:
    with local_gallery.looking_at(named("plot.html")) as page:
        frame = preview(page).locator("iframe")
        expect(frame.content_frame.get_by_role("heading")).to_have_text("A plot")
        assert frame.get_attribute("sandbox") == ""


def named(path: str) -> Previewable:
    (found,) = [artifact for artifact in SHOWN if artifact.path == path]
    return found


def test_a_folder_with_a_model_shows_its_card(place: Proxy, folder: str, visitor: Visitor) -> None:
    artifact = named("MLmodel")
    place.root.put(f"{folder}/MLmodel", artifact.content)
    page = visitor.open(place.server.url, f"{folder}/")
    expect(page.get_by_role("region", name="Model")).to_contain_text(artifact.shows)
    expect(row(page, "MLmodel")).to_be_visible()


def test_a_preview_reads_no_more_than_it_shows(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    """However large the artifact: it is read by ranges, or its beginning is."""
    megabytes = 64
    path = local_place.server.root / folder / "large.log"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.write(b"epoch 1 loss 0.5\n" * 100_000)
        file.truncate(megabytes * 1024 * 1024)
    page = visitor.arrive(local_place.server.url)
    received: list[int] = []

    def count(request: Request) -> None:
        if "/v1/" in request.url:
            received.append(request.sizes()["responseBodySize"])

    page.on("requestfinished", count)
    page.goto(f"{local_place.server.url}/ui#/{folder}/large.log")
    expect(preview(page)).to_contain_text("epoch 1 loss 0.5")
    page.wait_for_load_state("networkidle")
    assert 0 < sum(received) < 4 * 1024 * 1024
