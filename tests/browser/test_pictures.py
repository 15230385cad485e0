"""The documentation shows the page as it is, in pictures that are quickly loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.browser.pictures import PICTURES, SCALE, Picture, take

KEPT = Path(__file__).parent.parent.parent / "docs" / "screenshots"
LARGEST = 200_000


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_kept_small(picture: Picture) -> None:
    file = KEPT / picture.file_name
    assert file.stat().st_size < LARGEST
    with Image.open(file) as image:
        assert image.size == (picture.width * SCALE, picture.height * SCALE)


def test_nothing_else_is_kept() -> None:
    assert {file.name for file in KEPT.iterdir()} == {picture.file_name for picture in PICTURES}


def test_the_pictures_can_be_taken_again(browser: Browser, tmp_path: Path) -> None:
    taken = list(take(browser, tmp_path / "work", tmp_path))
    assert [file.name for file in taken] == [picture.file_name for picture in PICTURES]
    for file in taken:
        assert file.stat().st_size < LARGEST
        with Image.open(file) as image:
            # A page that shows something has more than a few colours.
            assert len(image.convert("RGB").getcolors(100_000) or []) > 50
