"""P3: a system call of a batch that fails is told of, and costs at most the artifacts that are told of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from app import errors
from app.api.problems import answer_for
from tests.support.faulty_uploads import ACKNOWLEDGED, BATCH, NEW, Upload, uploading
from tests.support.strace import SystemCall

TAKE_ROOM = {"writev", "fsync", "renameat", "renameat2", "mkdirat"}
"""Calls that tell of a full disk."""
COST = {"writev", "utimensat", "fsync", "renameat", "renameat2"}
"""Calls without which there is no whole artifact under its name."""
CLOSED = re.compile(r"close\(\d+<[^>]*/staging/[\w-]+/(?P<file>\d+)>\)")


@pytest.fixture(scope="module")
def failed(
    need: Callable[[str], str], need_root: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Upload]]]:
    """Batches that met an error at each of their system calls, by the error."""
    with uploading(need("strace"), tmp_path_factory.mktemp("failed"), [BATCH]) as uploader:
        yield {
            "EIO": uploader.at_each_call("error=EIO", of=can_fail),
            "ENOSPC": uploader.at_each_call("error=ENOSPC", of=lambda call: call.name in TAKE_ROOM),
        }


def can_fail(call: SystemCall) -> bool:
    """strace makes a close fail by not making it: what stays open, or locked, is another fault than that."""
    return call.name != "close" or bool(CLOSED.search(call.text))


def costs(upload: Upload) -> bool:
    """Whether the fault may not go unnoticed. Of the closes of a file the first one tells of lost bytes."""
    assert upload.fault
    if upload.fault.name != "close":
        return upload.fault.name in COST
    closed = [found["file"] for call in upload.calls if (found := CLOSED.search(call.text))]
    return len(closed) == len(set(closed))


def story(upload: Upload) -> str:
    assert upload.fault
    return f"{upload.said}, {upload.found()}, {upload.staged()} after {upload.fault.text}"


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_every_call_of_a_batch_has_failed_once(failed: dict[str, list[Upload]], error: str) -> None:
    assert all(sum(call.injected for call in upload.calls) == 1 for upload in failed[error])
    names = {upload.fault.name for upload in failed[error] if upload.fault}
    wanted = {"writev", "fsync", "renameat", "mkdirat"}
    assert names >= (wanted | {"openat", "close", "flock", "unlinkat", "fcntl"} if error == "EIO" else wanted)


@pytest.mark.parametrize(("error", "statuses"), [("EIO", {500}), ("ENOSPC", {507})])
def test_p03_a_call_of_a_batch_that_fails_is_told_of(
    failed: dict[str, list[Upload]], error: str, statuses: set[int]
) -> None:
    assert [story(upload) for upload in failed[error] if costs(upload) and upload.said == ACKNOWLEDGED] == []
    told = {one for upload in failed[error] for one in str(upload.said).split(",")} - {ACKNOWLEDGED}
    assert {answer_for(getattr(errors, one)("")).status for one in told} == statuses


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_what_is_told_of_the_artifacts_of_a_batch_is_so(
    failed: dict[str, list[Upload]], error: str
) -> None:
    def is_right(upload: Upload) -> bool:
        before, found, placed = upload.before(), upload.found(), upload.placed()
        said = str(upload.said).split(",")
        told = dict(zip(BATCH.names, said if len(said) > 1 else said * len(BATCH.names), strict=True))
        for name, outcome in told.items():
            # Where a directory could not be synced, what was replaced in it stays, and what is new goes.
            stays = outcome == ACKNOWLEDGED or (name in placed and name in before)
            if found.get(name) != (NEW if stays else before.get(name)):
                return False
        return bool(placed) or not (upload.root / "new").exists()

    assert [story(upload) for upload in failed[error] if not is_right(upload)] == []
    assert {tuple(upload.placed()) for upload in failed[error]} >= {(), ("new/a",), ("a",), ("new/a", "a")}


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_p03_what_of_a_batch_could_not_be_removed_is_swept(
    failed: dict[str, list[Upload]], error: str
) -> None:
    for upload in failed[error]:
        found = upload.found()
        assert upload.storage().sweep() <= len(BATCH.names)
        assert upload.staged() == [], story(upload)
        assert upload.found() == found


def test_p03_what_of_a_batch_could_not_be_synced_is_never_synced_again(
    failed: dict[str, list[Upload]],
) -> None:
    uploads = [upload for upload in failed["EIO"] if upload.fault and upload.fault.name == "fsync"]
    assert len(uploads) == 5  # of two files, of the parent of a new directory, and of both with new names
    for upload in uploads:
        renamed = max((call.ended for call in upload.calls if "rename" in call.name), default=0)
        synced = [call for call in upload.calls if call.name == "fsync"]
        files = [found[0] for call in synced if (found := re.search(r"<.*/staging/.*>", call.text))]
        directories = [call.text.partition("<")[2] for call in synced if call.began > renamed > 0]
        assert len(files) == len(set(files))
        assert len(directories) == len(set(directories))
