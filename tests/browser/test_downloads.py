"""What the browser saves is what is stored, over each kind of storage."""

from __future__ import annotations

import io
import secrets
import tarfile
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.listing import row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Visitor

CONTENT = {"a.bin": secrets.token_bytes(70_000), "sub/ü # %.txt": b"text", "sub/empty": b""}


@pytest.fixture
def below(place: Proxy, folder: str) -> str:
    for path, content in CONTENT.items():
        place.root.put(f"{folder}/{path}", content)
    return folder


def saved(page: Page, link: str) -> tuple[str, bytes]:
    """The name and content of what is behind the link."""
    with page.expect_download() as download:
        page.get_by_role("link", name=link, exact=True).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_a_file_is_saved_from_its_row_and_its_details(place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(place.server.url, f"{below}/sub/")
    assert saved(page, "Download ü # %.txt") == ("ü # %.txt", b"text")
    row(page, "ü # %.txt").click()
    assert saved(page, "Download") == ("ü # %.txt", b"text")


def test_a_folder_is_saved_as_a_zip(place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(place.server.url, f"{below}/")
    name, content = saved(page, "Download as zip")
    assert name == f"{below}.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {member: archive.read(member) for member in archive.namelist()} == CONTENT


def test_a_folder_is_saved_as_a_tar(place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(place.server.url, f"{below}/sub/")
    name, content = saved(page, "Download as tar")
    assert name == "sub.tar"
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        read = {f"sub/{name}": file.read() for name, file in members.items() if file}
    assert read == {path: content for path, content in CONTENT.items() if path.startswith("sub/")}
