"""P3: a system call that fails is an error to the client, and leaves nothing of the upload."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app import errors
from app.api.problems import answer_for
from tests.support.faulty_uploads import ABORTED, ACKNOWLEDGED, NEW_NAME, REPLACEMENT, Upload, uploading
from tests.support.guarded import told
from tests.support.server import Server
from tests.support.strace import SystemCall, attached

TAKE_ROOM = {"openat", "write", "writev", "utimensat", "fsync", "renameat", "renameat2", "mkdirat"}
"""Calls that tell of a full disk."""
WRITTEN = re.compile(r"close\(\d+<[^>]*/staging/\w+>\)")
"""The close of a file whose bytes are not yet known to be safe."""


@pytest.fixture(scope="module")
def failed(
    need: Callable[[str], str], need_root: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Upload]]]:
    """Uploads that met an error at each of their system calls, by the error."""
    with uploading(need("strace"), tmp_path_factory.mktemp("failed")) as uploader:
        yield {
            "EIO": uploader.at_each_call("error=EIO", of=can_fail),
            "ENOSPC": uploader.at_each_call("error=ENOSPC", of=takes_room),
        }


def can_fail(call: SystemCall) -> bool:
    """strace makes a close fail by not making it, and a lock that stays is another fault than that."""
    return call.name != "close" or "/locks/" not in call.text


def takes_room(call: SystemCall) -> bool:
    return call.name in TAKE_ROOM and (call.name != "openat" or "O_CREAT" in call.text)


def matters(upload: Upload) -> bool:
    """Whether the fault can have cost something: not where only a descriptor that was read is closed."""
    assert upload.fault
    return upload.fault.name != "close" or bool(WRITTEN.search(upload.fault.text))


def story(upload: Upload) -> str:
    assert upload.fault
    return f"{upload.kind}: {upload.said}, {upload.found()}, {upload.staged()} after {upload.fault.text}"


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_every_call_of_an_upload_has_failed_once(failed: dict[str, list[Upload]], error: str) -> None:
    assert all(sum(call.injected for call in upload.calls) == 1 for upload in failed[error])
    names = {upload.fault.name for upload in failed[error] if upload.fault}
    wanted = {"openat", "writev", "fsync", "renameat", "mkdirat"}
    assert names >= (wanted | {"close", "flock", "unlinkat", "fcntl"} if error == "EIO" else wanted)


@pytest.mark.parametrize(("error", "statuses"), [("EIO", {500}), ("ENOSPC", {507})])
def test_p03_a_call_that_fails_is_an_error_to_the_client(
    failed: dict[str, list[Upload]], error: str, statuses: set[int]
) -> None:
    committed = [upload for upload in failed[error] if upload.kind is not ABORTED]
    assert [story(upload) for upload in committed if matters(upload) and upload.said == ACKNOWLEDGED] == []
    refused = {upload.said for upload in committed if upload.said != ACKNOWLEDGED}
    assert {answer_for(getattr(errors, str(said))("")).status for said in refused} == statuses


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_an_upload_that_failed_leaves_no_artifact_and_the_old_one_as_it_was(
    failed: dict[str, list[Upload]], error: str
) -> None:
    def is_right(upload: Upload) -> bool:
        if upload.said == ACKNOWLEDGED:
            return upload.found() == upload.after()
        if upload.kind is REPLACEMENT and upload.placed():
            return upload.found() == upload.after()  # the old one cannot be brought back
        return upload.found() == upload.before() and not (upload.root / "new").exists()

    assert [story(upload) for upload in failed[error] if not is_right(upload)] == []
    assert {upload.kind for upload in failed[error]} >= {NEW_NAME, REPLACEMENT}


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_what_could_not_be_removed_from_staging_is_swept(
    failed: dict[str, list[Upload]], error: str
) -> None:
    for upload in failed[error]:
        found = upload.found()
        assert upload.storage().sweep() <= 1
        assert upload.staged() == []
        assert upload.found() == found


def test_p03_a_file_that_could_not_be_synced_is_never_synced_again(failed: dict[str, list[Upload]]) -> None:
    uploads = [upload for upload in failed["EIO"] if upload.fault and upload.fault.name == "fsync"]
    assert len(uploads) >= 5  # of file, directory and parent; of file and directory
    for upload in uploads:
        synced = [call.text.partition(")")[0] for call in upload.calls if call.name == "fsync"]
        files = [re.sub(r"^fsync\(\d+", "", text) for text in synced if "<" in text]
        assert len(files) == len(set(files)), synced


@pytest.mark.parametrize(
    ("calls", "error", "answer"),
    [
        ("fsync", "EIO", (500, "INTERNAL_ERROR")),
        ("rename,renameat,renameat2", "EIO", (500, "INTERNAL_ERROR")),
        ("mkdir,mkdirat", "ENOSPC", (507, "QUOTA_EXCEEDED")),
        ("openat", "EMFILE", (503, "TEMPORARILY_UNAVAILABLE")),
    ],
)
def test_p03_so_it_is_over_http(
    *,
    server: Server,
    client: httpx.Client,
    folder: str,
    need: Callable[[str], str],
    need_root: None,
    tmp_path: Path,
    calls: str,
    error: str,
    answer: tuple[int, str],
) -> None:
    old, new = f"{server.native}/{folder}/a", f"{server.native}/{folder}/new/b"
    client.put(old, content=b"old").raise_for_status()
    fault = f"inject={calls}:error={error}"
    with attached(need("strace"), server.process.pid, tmp_path / "log", "-e", f"trace={calls}", "-e", fault):
        assert told(client.put(new, content=b"new")) == answer
        if "mkdir" not in calls:
            assert told(client.put(old, content=b"new")) == answer
    assert "(INJECTED)" in (tmp_path / "log").read_text()
    assert client.get(old).content == b"old"
    assert client.get(new).status_code == 404
    assert not (server.root / folder / "new").exists()
    assert server.staged() == []
    assert client.put(new, content=b"new").status_code == 201
