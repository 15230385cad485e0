"""Folders that come down: all that is below a directory, and nothing outside of the folder that was named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from artifact_proxy import ArtifactError, ArtifactNotFound, Client
from artifact_proxy.folders import Folder
from tests.support.loopback import listening


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def directory(remote: Client, folder: str) -> str:
    for name in ("a", "sub/b", "sub/deep/c"):
        remote.put_bytes(name.encode(), f"{folder}/d/{name}")
    remote.put_bytes(b"beside", f"{folder}/dd")
    return f"{folder}/d"


CONTENT = {"a": b"a", "sub/b": b"sub/b", "sub/deep/c": b"sub/deep/c"}


def test_a_folder_comes_whole(remote: Client, directory: str, place: Path) -> None:
    entries = remote.get_folder(directory, "copy")
    assert tree(place / "copy") == CONTENT
    assert sorted(entry.path for entry in entries) == [f"{directory}/{name}" for name in CONTENT]
    (place / "copy" / "a").write_bytes(b"old")
    (place / "copy" / "mine").write_bytes(b"mine")
    remote.get_folder(f"{directory}/", place / "copy")
    assert tree(place / "copy") == CONTENT | {"mine": b"mine"}


def test_a_folder_goes_up_and_comes_back_the_same(remote: Client, folder: str, place: Path) -> None:
    names = ["a b", "ü/%20", "x/y/z", "-", "C:", "a\u200bb", "quote'\"", "new.part"]
    for name in names:
        (place / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "up" / name).write_bytes(os.urandom(1000))
    remote.put_folder("up", folder)
    remote.get_folder(folder, "down")
    assert tree(place / "down") == tree(place / "up")


def test_a_missing_folder_is_an_error(remote: Client, folder: str, place: Path) -> None:
    with pytest.raises(ArtifactNotFound):
        remote.get_folder(f"{folder}/none", "copy")
    assert not (place / "copy").exists()


def test_the_first_error_ends_it(remote: Client, directory: str, place: Path) -> None:
    (place / "copy" / "sub").mkdir(parents=True)
    (place / "copy" / "sub" / "b").mkdir()
    with pytest.raises(ArtifactError, match=r"'copy/sub/b' is there, and is no plain file"):
        remote.get_folder(directory, "copy")


@pytest.mark.parametrize("link", ["a", "sub", "sub/deep", "sub/b"])
def test_nothing_is_written_by_a_link_in_the_folder(
    remote: Client, directory: str, place: Path, link: str
) -> None:
    outside = place / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    (place / "copy" / link).parent.mkdir(parents=True)
    (place / "copy" / link).symlink_to(outside / "file" if link in CONTENT else outside)
    with pytest.raises(ArtifactError, match="is a link, by which nothing is written"):
        remote.get_folder(directory, "copy")
    assert tree(outside) == {"file": b"mine"}


def test_the_folder_itself_may_be_a_link(remote: Client, directory: str, place: Path) -> None:
    (place / "real").mkdir()
    (place / "copy").symlink_to("real")
    remote.get_folder(directory, "copy")
    assert tree(place / "real") == CONTENT


@contextmanager
def lying(paths: Sequence[str]) -> Iterator[str]:
    """A server that lists these paths, whatever was asked for, and has all of them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = json.dumps(
                {"path": "", "entries": [_entry(path) for path in paths], "next_page_token": None}
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield url


def _entry(path: str) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {"name": name, "path": path, "is_dir": False, "size": 1, "modified": None, "etag": '"x"'}


@pytest.mark.parametrize(
    "path",
    [
        *("d/../evil", "d/..", "d/.", "d//etc/evil", "d/", "d/a/../../evil", "d/a\0b", "../evil", "/evil"),
        *("evil", "dd/evil", "d"),
    ],
)
def test_a_server_cannot_have_anything_written_outside(path: str, place: Path) -> None:
    with lying([path]) as url, Client(url) as client, pytest.raises(ArtifactError) as caught:
        client.get_folder("d", "copy")
    assert re.search("may lead out of|where it cannot be", str(caught.value))
    assert tree(place) == {}
    assert tree(place.parent) == {}


@pytest.mark.parametrize(
    "answer", ["[]", "{}", '{"entries": [{}], "next_page_token": null}', "<html>", '{"entries": 1}']
)
def test_an_answer_that_makes_no_sense_is_an_error(answer: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with (
        listening(Handler) as url,
        Client(url) as client,
        pytest.raises(ArtifactError, match="makes no sense"),
    ):
        list(client.list())


def test_a_backslash_is_a_part_of_a_name(place: Path) -> None:
    assert Folder(place).target("a\\..\\b") == place / "a\\..\\b"
