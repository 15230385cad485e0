"""The links in the documents lead to files and headings that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.ja.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def text(document: Path) -> str:
    """Without the blocks of code, where neither headings nor links are."""
    return re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """The file and the anchor of each link that does not leave the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text(document)):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield (document.parent / path if path else document), anchor


def anchors(document: Path) -> set[str]:
    """Of all headings, by GitHub's rule."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text(document), re.MULTILINE):
        shown = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)
        plain = anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for path, anchor in links(document):
        assert path.exists(), path
        assert not anchor or anchor in anchors(path), f"{path}#{anchor}"


def test_there_are_links_of_both_kinds() -> None:
    found = [link for document in DOCUMENTS for link in links(document)]
    assert sum(bool(anchor) for _, anchor in found) > 5
    assert sum(not anchor for _, anchor in found) > 5
