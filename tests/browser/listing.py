"""What a screen reader finds on the page: its rows, headings and buttons, by their roles and names."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def heading(page: Page) -> Locator:
    """The one of what the page shows."""
    return page.get_by_role("main").get_by_role("heading", level=1)


def row(page: Page, name: str) -> Locator:
    """The link of the entry with this name, which has a slash at the end if it is a folder."""
    return page.get_by_role("table").get_by_role("link", name=name, exact=True)


def names(page: Page) -> list[str]:
    """Those of all rows that are shown, in their order."""
    return page.get_by_role("rowheader").all_inner_texts()
