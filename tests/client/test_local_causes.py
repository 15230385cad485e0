"""What this machine refuses: said in a sentence, as what the server refuses is."""

from __future__ import annotations

import errno
import io
from pathlib import Path
from typing import Any

import pytest

from artifact_proxy import ArtifactError, Client
from artifact_proxy.parts import part_of
from tests.support.client_command import DONE, Run
from tests.support.server import Server

LONG = "x" * 300


@pytest.fixture
def path(remote: Client, folder: str, place: Path) -> str:
    (place / "file").write_bytes(b"mine")
    remote.put_bytes(b"content", f"{folder}/a")
    return f"{folder}/a"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file/a", "Not a directory"),
        ("file/sub/a", "Not a directory"),
        (LONG, "File name too long"),
        (f"{LONG}/a", "File name too long"),
        ("none/a", "No such file or directory"),
    ],
)
def test_a_target_that_cannot_be_is_said(
    run: Run, remote: Client, path: str, place: Path, target: str, reason: str
) -> None:
    ended = run("get", path, target)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"artifact-proxy: {target!r} cannot be written: {reason}.\n"
    with pytest.raises(ArtifactError, match=reason):
        remote.get(path, target)
    (outcome,) = remote.get_many([(path, target)])
    assert reason in str(outcome.error)
    assert (place / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("target", ["file/", "file/sub", f"{LONG}/"])
def test_a_folder_that_cannot_be_is_said(run: Run, remote: Client, path: str, target: str) -> None:
    directory = path.removesuffix("/a")
    ended = run("get", "-r", directory, target)
    assert (ended.status, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "cannot be written: " in ended.err
    with pytest.raises(ArtifactError, match="cannot be written"):
        remote.get_folder(directory, target)


def test_a_name_that_no_file_can_have_is_said(remote: Client, path: str) -> None:
    with pytest.raises(ArtifactError, match="cannot be written: embedded null byte"):
        remote.get(path, "a\0b")
    with pytest.raises(ArtifactError, match="cannot be read: embedded null byte"):
        remote.put("a\0b", path)


def test_a_part_that_cannot_be_removed_is_in_nobodys_way(
    remote: Client, path: str, place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old = part_of(Path("a"), '"old"')
    (place / old).write_bytes(b"old")

    def refuse(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    remote.get(path, "a")
    assert (place / "a").read_bytes() == b"content"
    assert f"{str(old)!r} is of no use any more, and cannot be removed: Permission denied." in caplog.messages


@pytest.mark.parametrize("name", ["/proc/cpuinfo", "/proc/version", "/proc/self/comm"])
def test_a_file_of_the_kernel_is_stored_as_it_is_read(
    run: Run, server: Server, folder: str, name: str
) -> None:
    assert run("put", name, f"{folder}/x") == DONE
    stored = (server.root / folder / "x").read_bytes()
    assert stored.split()[0] == Path(name).read_bytes().split()[0]


def test_without_a_home_there_is_no_netrc(run: Run, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> Any:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert run("ls", folder).status == 3


@pytest.mark.parametrize(
    ("source", "says"),
    [(io.StringIO("text"), "open for text; open it with 'rb'"), (io.BytesIO(), "it is closed")],
)
def test_an_open_file_that_gives_no_bytes_is_said(
    remote: Client, folder: str, source: Any, says: str
) -> None:
    if isinstance(source, io.BytesIO):
        source.close()
    with pytest.raises(ArtifactError, match=f"'the open file' cannot be read: .*{says}"):
        remote.put(source, f"{folder}/a")


def test_a_file_that_is_open_for_text_is_said(remote: Client, folder: str, place: Path) -> None:
    (place / "a.txt").write_text("text")
    with (place / "a.txt").open() as file, pytest.raises(ArtifactError, match="is open for text"):
        remote.put(file, f"{folder}/a")  # type: ignore[arg-type]  # as many will
