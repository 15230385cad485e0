"""What would keep a browser busy for minutes is given up, and the page stays as quick as ever."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.gallery import preview
from tests.browser.listing import heading
from tests.e2e.conftest import Proxy
from tests.support import previewable_arrays as arrays
from tests.support import previewable_documents as documents
from tests.support import previewable_parquet as parquet
from tests.support.chromium import Visitor

ENDLESS = "_a**" * 16_000
"""Markdown whose parts take longer to find with each that comes."""


def test_a_document_that_cannot_be_laid_out_in_time_is_shown_as_text(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    local_place.root.put(f"{folder}/endless.md", ENDLESS.encode())
    page = visitor.arrive(local_place.server.url)
    page.clock.install()
    with page.expect_worker():
        page.goto(f"{local_place.server.url}/ui#/{folder}/endless.md")
    expect(preview(page)).to_contain_text("Loading the preview")
    page.clock.fast_forward("00:05")
    expect(preview(page)).to_contain_text("cannot be laid out; here it is as text")
    expect(preview(page)).to_contain_text(ENDLESS[:100])


def test_all_that_can_be_endless_is_given_up(local_place: Proxy, folder: str, visitor: Visitor) -> None:
    """Here no worker ever begins."""
    given_up = {
        "MLmodel": (documents.model(), "cannot be laid out; here it is as text"),
        "a.safetensors": (arrays.tensors(), "takes too long for a preview"),
        "a.parquet": (parquet.rows(1, "none"), "takes too long for a preview"),
    }
    page = visitor.arrive(local_place.server.url)
    page.clock.install()
    page.route("**/*_worker.js", lambda route: None)
    for name, (content, told) in given_up.items():
        local_place.root.put(f"{folder}/{name}", content)
        with page.expect_request("**/*_worker.js"):
            page.goto(f"{local_place.server.url}/ui#/{folder}/{name}")
        page.clock.fast_forward("01:00")
        expect(heading(page)).to_have_text(name)
        expect(preview(page)).to_contain_text(told)


def test_a_document_that_is_left_is_not_worked_on_any_more(
    local_place: Proxy, folder: str, visitor: Visitor
) -> None:
    local_place.root.put(f"{folder}/endless.md", ENDLESS.encode())
    page = visitor.arrive(local_place.server.url)
    with page.expect_worker() as started:
        page.goto(f"{local_place.server.url}/ui#/{folder}/endless.md")
    with started.value.expect_event("close"):
        page.goto(f"{local_place.server.url}/ui#/{folder}/")
    expect(heading(page)).to_have_text(folder)
