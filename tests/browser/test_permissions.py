"""The page shows what the caller may see and do, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.listing import heading, names, row
from tests.e2e.conftest import Proxy
from tests.support.access import access_file, bearer, token_stanza
from tests.support.chromium import Complaints, Visitor, drop, settled
from tests.support.guarded import guarded
from tests.support.server import Server, running

CALLERS = {
    "writer": ["all:"],
    "reader": ["read,list:"],
    "lister": ["list:"],
    "sender": ["list,write:"],
    "a-team": ["all:teams/a/"],
}
CHANGES = re.compile("Upload|Delete")


@dataclass(frozen=True)
class Guarded:
    server: Server
    tokens: dict[str, str]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    made = {name: token_stanza(name, *allow) for name, allow in CALLERS.items()}
    stanzas = [stanza for _, stanza in made.values()]
    with guarded(tmp_path_factory.mktemp("permissions"), *stanzas) as server:
        for path in ("teams/a/one.txt", "teams/b/two.txt", "three.txt"):
            (server.root / path).parent.mkdir(parents=True, exist_ok=True)
            (server.root / path).write_text("content")
        yield Guarded(server, {name: token for name, (token, _) in made.items()})


def see(visitor: Visitor, known: Guarded, caller: str, place: str = "") -> Page:
    """What the caller, who has signed in before, sees there."""
    page = visitor.arrive(known.server.url)
    signed_in = page.context.request.put(
        f"{known.server.url}/v1/session", headers=bearer(known.tokens[caller])
    )
    assert signed_in.status == 204
    page.goto(f"{known.server.url}/ui#/{place}")
    return settled(page)


def offers(page: Page) -> set[str]:
    """The buttons and links of the main part, as far as they do something."""
    buttons = page.get_by_role("main").get_by_role("button").all_inner_texts()
    links = page.get_by_role("main").get_by_role("link", name=re.compile("Download")).all()
    labels = {link.get_attribute("aria-label") or link.inner_text().strip() for link in links}
    return {text.strip() for text in buttons if CHANGES.search(text)} | labels


FOLDER = {
    "writer": {
        "Upload files",
        "Upload folder",
        "Delete folder",
        "Download as zip",
        "Download as tar",
        "Download one.txt",
    },
    "reader": {"Download as zip", "Download as tar", "Download one.txt"},
    "lister": set(),
    "sender": {"Upload files", "Upload folder"},
}


@pytest.mark.parametrize("caller", FOLDER)
def test_a_folder_offers_what_the_caller_may_do(known: Guarded, visitor: Visitor, caller: str) -> None:
    page = see(visitor, known, caller, "teams/a/")
    expect(row(page, "one.txt")).to_be_visible()
    assert offers(page) == FOLDER[caller]


ARTIFACT = {"writer": {"Download", "Delete"}, "reader": {"Download"}}


@pytest.mark.parametrize("caller", ARTIFACT)
def test_an_artifact_offers_what_the_caller_may_do(known: Guarded, visitor: Visitor, caller: str) -> None:
    page = see(visitor, known, caller, "teams/a/one.txt")
    expect(heading(page)).to_have_text("one.txt")
    assert offers(page) == ARTIFACT[caller]


def test_who_may_not_read_is_told_so(known: Guarded, visitor: Visitor, complaints: Complaints) -> None:
    complaints.expect("status of 403")
    page = see(visitor, known, "lister", "three.txt")
    expect(page.get_by_role("alert")).to_contain_text("You may not read this artifact")
    assert offers(page) == set()


def test_who_may_see_a_part_sees_the_way_there_and_nothing_beside_it(
    known: Guarded, visitor: Visitor, complaints: Complaints
) -> None:
    page = see(visitor, known, "a-team")
    expect(row(page, "teams/")).to_be_visible()
    assert names(page) == ["teams/"]
    row(page, "teams/").click()
    expect(row(page, "a/")).to_be_visible()
    assert names(page) == ["a/"]
    row(page, "a/").click()
    expect(row(page, "one.txt")).to_be_visible()
    assert offers(page) == FOLDER["writer"]
    complaints.expect("status of 403")
    page.evaluate("location.hash = '#/teams/b/two.txt'")
    expect(page.get_by_role("alert")).to_be_visible()
    assert "content" not in page.get_by_role("main").inner_text()


def test_what_a_reader_drops_is_not_sent(
    known: Guarded, visitor: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("dropped") / "dropped.txt"
    file.write_text("content")
    page = see(visitor, known, "reader", "teams/a/")
    expect(row(page, "one.txt")).to_be_visible()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    drop(page, "main", file)
    page.reload()
    expect(row(page, "one.txt")).to_be_visible()
    assert set(sent) <= {"GET", "HEAD"}
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()


def test_a_server_that_takes_nothing_offers_nothing(
    visitor: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    token, stanza = token_stanza("writer", "all:")
    directory = tmp_path_factory.mktemp("read-only")
    (directory / "root" / "teams" / "a").mkdir(parents=True)
    (directory / "root" / "teams" / "a" / "one.txt").write_text("content")
    with guarded(directory, stanza, flags=["--read-only"]) as server:
        page = see(visitor, Guarded(server, {"writer": token}), "writer", "teams/a/")
        expect(row(page, "one.txt")).to_be_visible()
        assert offers(page) == FOLDER["reader"]


def test_over_s3_and_below_a_sub_path_it_is_no_different(
    s3_place: Proxy, folder: str, visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    token, stanza = token_stanza("a-team", f"read,list:{folder}/a/")
    for path in ("a/one.txt", "b/two.txt"):
        s3_place.root.put(f"{folder}/{path}", b"content")
    flags = ("--access-file", str(access_file(tmp_path, stanza)), "--static-prefix", "/team/ml")
    root, log_file = s3_place.root, tmp_path / "server.log"
    with running(root.location, *flags, environment=root.environment, log_file=log_file) as server:
        page = see(visitor, Guarded(server, {"a-team": token}), "a-team", f"{folder}/")
        expect(row(page, "a/")).to_be_visible()
        assert names(page) == ["a/"]
        row(page, "a/").click()
        expect(row(page, "one.txt")).to_be_visible()
        assert offers(page) == FOLDER["reader"]
        row(page, "one.txt").click()
        expect(page.get_by_role("region", name="Preview")).to_contain_text("content")
        complaints.expect("status of 403")
        page.evaluate("hash => { location.hash = hash }", f"#/{folder}/b/two.txt")
        expect(page.get_by_role("alert")).to_contain_text("You may not read this artifact")
