"""Files and folders are sent, chosen or dropped, over each kind of storage; and the page says how it goes."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.listing import heading, names, row
from tests.e2e.conftest import Proxy
from tests.support.chromium import Complaints, Visitor, drop, settled, slow_uploads
from tests.support.waiting import wait_until

LARGE = 400_000
DONE = re.compile("^Done, ")


@pytest.fixture
def chosen(tmp_path: Path) -> Path:
    """A folder on the visitor's own disk."""
    folder = tmp_path / "run"
    (folder / "model" / "data").mkdir(parents=True)
    (folder / "notes with # and %.txt").write_text("notes")
    (folder / "model" / "MLmodel").write_text("flavors: {}\n")
    (folder / "model" / "data" / "weights.bin").write_bytes(secrets.token_bytes(50_000))
    (folder / "model" / "empty").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder.parent)): path.read_bytes() for path in files}


def uploads(page: Page) -> Locator:
    return page.get_by_role("region", name="Uploads")


def choose(page: Page, button: str, *files: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name=button, exact=True).click()
    chooser.value.set_files([str(file) for file in files])


def test_a_folder_that_was_chosen_arrives_whole(
    place: Proxy, folder: str, visitor: Visitor, chosen: Path
) -> None:
    page = visitor.open(place.server.url, f"{folder}/")
    choose(page, "Upload folder", chosen)
    expect(uploads(page).get_by_text(DONE)).to_have_count(4)
    expect(row(page, "run/")).to_be_visible()  # without a reload
    assert place.root.tree(folder) == contents(chosen)


def test_files_and_folders_that_are_dropped_arrive_whole(
    place: Proxy, folder: str, visitor: Visitor, chosen: Path, tmp_path: Path
) -> None:
    single = tmp_path / "single.txt"
    single.write_text("alone")
    page = settled(visitor.open(place.server.url, f"{folder}/sub/"))
    drop(page, "main", chosen, single)
    expect(uploads(page).get_by_text(DONE)).to_have_count(5)
    expect(row(page, "run/")).to_be_visible()
    expect(row(page, "single.txt")).to_be_visible()
    assert place.root.tree(f"{folder}/sub") == contents(chosen) | {"single.txt": b"alone"}


def test_progress_is_told_while_it_lasts(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(LARGE))
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    bar = page.get_by_role("progressbar", name=f"Upload of {folder}/large.bin")
    with slow_uploads(page, LARGE):
        choose(page, "Upload files", large)
        page.wait_for_function(
            "bar => { const now = Number(bar.getAttribute('aria-valuenow') ?? bar.value);"
            " const most = Number(bar.getAttribute('aria-valuemax') ?? bar.max);"
            " return now > 0 && now < most }",
            arg=bar.element_handle(),
        )
    expect(uploads(page).get_by_text(DONE)).to_be_visible()
    assert local_place.root.read(f"{folder}/large.bin") == bytes(LARGE)


def test_what_is_cancelled_leaves_nothing(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(LARGE))
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    with slow_uploads(page, LARGE // 20):
        choose(page, "Upload files", large)
        page.get_by_role("button", name=f"Cancel {folder}/large.bin").click()
        expect(uploads(page).get_by_text("Cancelled", exact=True)).to_be_visible()
    assert local_place.root.tree(folder) == {}
    page.get_by_role("button", name=f"Retry {folder}/large.bin").click()
    expect(uploads(page).get_by_text(DONE)).to_be_visible()
    assert local_place.root.tree(folder) == {"large.bin": bytes(LARGE)}


def test_nothing_is_replaced_before_the_visitor_says_so(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path, complaints: Complaints
) -> None:
    complaints.expect("status of 412")
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("new")
    for name in ("a.txt", "b.txt"):
        local_place.root.put(f"{folder}/{name}", b"old")
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    choose(page, "Upload files", *(tmp_path / name for name in ("a.txt", "b.txt", "c.txt")))
    expect(row(page, "c.txt")).to_be_visible()
    expect(page.get_by_role("button", name=f"Replace {folder}/a.txt")).to_be_visible()
    assert local_place.root.tree(folder) == {"a.txt": b"old", "b.txt": b"old", "c.txt": b"new"}
    page.get_by_role("button", name=f"Replace {folder}/a.txt").click()
    page.get_by_role("button", name=f"Skip {folder}/b.txt").click()
    expect(uploads(page).get_by_text(DONE)).to_have_count(2)
    expect(uploads(page).get_by_text("Skipped", exact=True)).to_be_visible()
    assert local_place.root.tree(folder) == {"a.txt": b"new", "b.txt": b"old", "c.txt": b"new"}


def test_a_conflict_is_told_in_the_words_of_the_server(
    local_place: Proxy, folder: str, visitor: Visitor, chosen: Path, complaints: Complaints
) -> None:
    complaints.expect("status of 409")
    local_place.root.put(f"{folder}/run/model", b"a file where the upload has a folder")
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    choose(page, "Upload folder", chosen)
    expect(uploads(page).get_by_text(DONE)).to_have_count(1)
    failed = uploads(page).get_by_role("listitem").filter(has_text="MLmodel")
    expect(failed).to_contain_text(f"{folder}/run/model")
    expect(failed.get_by_role("button", name=f"Retry {folder}/run/model/MLmodel")).to_be_visible()


def test_one_may_look_elsewhere_while_it_goes_on(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(LARGE))
    local_place.root.put(f"{folder}/other/x", b"")
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    with slow_uploads(page, LARGE // 4):
        choose(page, "Upload files", large)
        row(page, "other/").click()
        expect(heading(page)).to_have_text("other")
    expect(uploads(page).get_by_text(DONE)).to_be_visible()
    assert names(page) == ["x"]
    wait_until(lambda: f"{folder}/large.bin" in local_place.root.tree(), "the upload")
    page.get_by_role("button", name="Close").click()
    expect(uploads(page)).to_be_hidden()


def test_who_leaves_too_early_is_asked_first(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path, complaints: Complaints
) -> None:
    complaints.expect("beforeunload dialog")
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(LARGE))
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    with slow_uploads(page, LARGE // 2):
        choose(page, "Upload files", large)
        expect(page.get_by_role("progressbar", name=f"Upload of {folder}/large.bin")).to_be_visible()
        with page.expect_event("dialog"):
            page.close(run_before_unload=True)
    expect(uploads(page).get_by_text(DONE)).to_be_visible()
    assert local_place.root.tree(folder) == {"large.bin": bytes(LARGE)}


def test_a_folder_of_many_files_arrives_whole(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    """More than the panel has rows for."""
    many = tmp_path / "many"
    many.mkdir()
    for number in range(250):
        (many / f"{number:03}").write_text(str(number))
    page = settled(visitor.open(local_place.server.url, f"{folder}/"))
    choose(page, "Upload folder", many)
    expect(uploads(page)).to_contain_text("250 of 250 done")
    assert local_place.root.tree(folder) == contents(many)


_SEND_MANY = """async count => {
    window.XMLHttpRequest = class extends EventTarget {
        upload = new EventTarget();
        status = 201;
        open() {}
        setRequestHeader() {}
        send() { setTimeout(() => this.dispatchEvent(new Event("load"))); }
    };
    const {Uploads} = await import(`${location.origin}/ui/static/uploads.js`);
    const uploads = new Uploads();
    uploads.add(Array.from({length: count}, (_, number) => ({path: `a/${number}`, file: new File([], "a")})));
    let looks = 0;
    for (const upload of uploads.all) {
        let state = upload.state;
        const get = () => (looks += 1, state);
        Object.defineProperty(upload, "state", {get, set: value => { state = value; }});
    }
    await new Promise(resolve => uploads.addEventListener("rest", resolve));
    return {done: uploads.count("done"), looks: looks / count};
}"""


def test_what_becomes_of_a_file_takes_no_look_at_all_the_others(local_place: Proxy, visitor: Visitor) -> None:
    """Else a hundred thousand at once would keep the browser from sending them."""
    page = settled(visitor.open(local_place.server.url))
    few, many = (page.evaluate(_SEND_MANY, count) for count in (100, 1000))
    assert (few["done"], many["done"]) == (100, 1000)
    assert many["looks"] <= few["looks"] + 1
