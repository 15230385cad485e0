"""One page before which many artifacts pass: it is opened once, as opening takes most of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.listing import heading
from tests.e2e.conftest import Proxy
from tests.support.chromium import Complaints, visiting
from tests.support.previewable import Previewable

_LOADED = "Promise.allSettled([...document.images].map(image => image.decode()))"
"""Whatever listens to a picture, or to its absence, has been called then."""


class Gallery:
    def __init__(self, page: Page, complaints: Complaints, folder: str) -> None:
        self._page = page
        self._complaints = complaints
        self._folder = folder

    @contextmanager
    def looking_at(self, artifact: Previewable, *expected: str) -> Iterator[Page]:
        """Its preview is there inside the block, and nothing but what was `expected` is wrong after it."""
        self._complaints.expect(*expected)
        self._page.evaluate("hash => { location.hash = hash }", f"#/{self._folder}/{artifact.path}")
        expect(heading(self._page)).to_have_text(artifact.path.rpartition("/")[2])
        expect(preview(self._page).locator("[aria-busy=true]")).to_have_count(0)
        for frame in self._page.frames[1:]:
            frame.wait_for_url("**view=frame")
        self._page.evaluate(_LOADED)
        yield self._page
        self._complaints.check()


@contextmanager
def gallery(
    browser: Browser, place: Proxy, folder: str, artifacts: Iterable[Previewable], **look: Any
) -> Iterator[Gallery]:
    """Has the artifacts in the folder; `look` are options of the browser's context."""
    for artifact in artifacts:
        place.root.put(f"{folder}/{artifact.path}", artifact.content)
    complaints = Complaints()
    with visiting(browser, complaints) as visitor:
        page = visitor.open(place.server.url, f"{folder}/", **look)
        expect(heading(page)).to_have_text(folder)
        yield Gallery(page, complaints, folder)


def preview(page: Page) -> Locator:
    return page.get_by_role("region", name="Preview")
