"""What the page says of uploads that fail, and how they come to a good end after all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.listing import row
from tests.e2e.conftest import Proxy
from tests.support.access import token_stanza
from tests.support.chromium import Complaints, Visitor, drop, settled
from tests.support.guarded import guarded
from tests.support.server import Server

LARGEST = 10_000
ROOM = 1_000


@dataclass(frozen=True)
class Strict:
    server: Server
    token: str


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strict]:
    """A server that refuses what is too large, what a quota has no room for, and what is for others."""
    token, stanza = token_stanza("alice", "all:", deny=["write:private/"])
    flags = ["--max-artifact-size", str(LARGEST), "--quotas", json.dumps({"narrow/": ROOM})]
    with guarded(tmp_path_factory.mktemp("strict"), stanza, flags=flags) as server:
        (server.root / "kept").write_bytes(b"")
        yield Strict(server, token)


@pytest.fixture
def page(strict: Strict, visitor: Visitor, complaints: Complaints) -> Page:
    complaints.expect("status of 401")
    opened = visitor.open(strict.server.url)
    sign_in(opened, strict.token)
    expect(row(opened, "kept")).to_be_visible()
    return opened


def sign_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def dropped(page: Page, *files: Path) -> Locator:
    """The list of uploads after the files, or folders, were dropped on the page."""
    drop(page, "main", *files)
    return page.get_by_role("region", name="Uploads").get_by_role("listitem")


def test_what_is_too_large_fails_in_the_words_of_the_server(
    page: Page, strict: Strict, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 413")
    (tmp_path / "large.bin").write_bytes(bytes(LARGEST + 1))
    (tmp_path / "small.bin").write_bytes(bytes(10))
    uploads = dropped(page, tmp_path / "large.bin", tmp_path / "small.bin")
    expect(uploads.filter(has_text="large.bin")).to_contain_text(f"{LARGEST}")
    expect(uploads.filter(has_text="small.bin")).to_contain_text("Done")
    assert "large.bin" not in strict.server.tree()


def test_what_the_quota_has_no_room_for_fails_in_the_words_of_the_server(
    page: Page, strict: Strict, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 507")
    (tmp_path / "narrow").mkdir()
    (tmp_path / "narrow" / "wide.bin").write_bytes(bytes(ROOM + 1))
    uploads = dropped(page, tmp_path / "narrow")
    expect(uploads).to_contain_text("narrow")
    expect(uploads).to_contain_text(f"{ROOM}")
    expect(page.get_by_role("button", name="Retry narrow/wide.bin")).to_be_visible()


def test_what_the_caller_may_not_write_fails_in_the_words_of_the_server(
    page: Page, strict: Strict, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 403")
    for name in ("private", "public"):
        (tmp_path / "both" / name).mkdir(parents=True)
        (tmp_path / "both" / name / "a.bin").write_bytes(b"content")
    uploads = dropped(page, tmp_path / "both" / "private", tmp_path / "both" / "public")
    expect(uploads.filter(has_text="public/a.bin")).to_contain_text("Done")
    expect(uploads.filter(has_text="private/a.bin")).to_contain_text("write")
    assert "private/a.bin" not in strict.server.tree()


def test_who_is_not_known_any_more_signs_in_and_tries_again(
    page: Page, strict: Strict, tmp_path: Path
) -> None:
    (tmp_path / "late.bin").write_bytes(b"content")
    page.context.clear_cookies()
    dropped(page, tmp_path / "late.bin")
    sign_in(page, strict.token)
    page.get_by_role("button", name="Retry late.bin").click()
    expect(row(page, "late.bin")).to_be_visible()
    assert strict.server.tree()["late.bin"] == b"content"


def test_a_busy_server_is_asked_again_by_itself(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 503")
    (tmp_path / "a.bin").write_bytes(b"content")
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))

    def busy(route: Route) -> None:
        route.fulfill(status=503, headers={"Retry-After": "1"}, json={"message": "No place is free."})

    page.route("**/a.bin", busy, times=2)
    uploads = dropped(page, tmp_path / "a.bin")
    expect(uploads).to_contain_text("again in 1 s")
    expect(uploads).to_contain_text("Done")
    assert local_place.root.tree(folder) == {"a.bin": b"content"}


def test_a_broken_connection_is_told_and_mended(
    local_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("ERR_CONNECTION_RESET")
    (tmp_path / "a.bin").write_bytes(b"content")
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    page.route("**/a.bin", lambda route: route.abort("connectionreset"), times=1)
    uploads = dropped(page, tmp_path / "a.bin")
    expect(uploads).to_contain_text("The connection broke")
    page.get_by_role("button", name=f"Retry {folder}/a.bin").click()
    expect(uploads).to_contain_text("Done")
    assert local_place.root.tree(folder) == {"a.bin": b"content"}
