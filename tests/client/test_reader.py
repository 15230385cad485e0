"""An artifact as a file that is read from any place."""

from __future__ import annotations

import io
import json
import os
import zipfile

import pytest

from artifact_proxy import ArtifactNotFound, Client, Conflict
from tests.support.interposer import Interposer

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def path(remote: Client, folder: str) -> str:
    remote.put_bytes(CONTENT, f"{folder}/a.bin")
    return f"{folder}/a.bin"


def test_it_has_the_same_bytes_as_a_file(remote: Client, path: str) -> None:
    local = io.BytesIO(CONTENT)
    with remote.open(path) as opened:
        assert opened.seekable()
        for seek in [(0, 0), (100, 0), (-5, 2), (10, 1), (2_999_990, 0), (0, 2), (3_500_000, 0), (1_000, 0)]:
            assert opened.seek(*seek) == local.seek(*seek)
            for size in (0, 3, 70_000):
                assert opened.read(size) == local.read(size)
            assert opened.tell() == local.tell()
        assert opened.seek(1) == 1
        assert opened.read() == CONTENT[1:]
        with pytest.raises(ValueError, match="before the beginning"):
            opened.seek(-1)


def test_it_asks_for_what_is_read_and_little_more(front: Interposer, through: Client, path: str) -> None:
    with through.open(path) as opened:
        opened.seek(-10, os.SEEK_END)
        assert opened.read() == CONTENT[-10:]
        opened.seek(5)
        assert opened.read(10) == CONTENT[5:15]
        assert opened.read(10) == CONTENT[15:25]
    asked = [request.headers["range"] for request in front.requests() if request.method == "GET"]
    assert asked == ["bytes=2999990-2999999", f"bytes=5-{5 + 1024 * 1024 - 1}"]


def test_it_is_of_one_version(remote: Client, path: str) -> None:
    with remote.open(path) as opened:
        assert opened.read(10) == CONTENT[:10]
        remote.put_bytes(CONTENT[::-1], path)
        opened.seek(2_000_000)
        with pytest.raises(Conflict):
            opened.read(10)


def test_libraries_take_it_for_a_file(remote: Client, folder: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.json", json.dumps({"a": 1}))
    remote.put_bytes(packed.getvalue(), f"{folder}/a.zip")
    with remote.open(f"{folder}/a.zip") as opened, zipfile.ZipFile(opened) as archive:
        assert json.loads(archive.read("a.json")) == {"a": 1}


def test_what_is_missing_cannot_be_opened(remote: Client, folder: str) -> None:
    with pytest.raises(ArtifactNotFound):
        remote.open(f"{folder}/none")
