"""P4: a server that is killed at any moment of a batch tears nothing, and what it leaves is swept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.artifacts import put
from tests.support.faulty_uploads import BATCH, Upload, uploading
from tests.support.strace import SystemCall

CHANGE = {"mkdirat", "flock", "writev", "utimensat", "fsync", "renameat", "renameat2", "unlinkat", "rmdir"}


@pytest.fixture(scope="module")
def killed(
    need: Callable[[str], str], need_root: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Upload]]:
    """Batches of which each was killed when it was about to make another call that changes something."""
    with uploading(need("strace"), tmp_path_factory.mktemp("killed"), [BATCH]) as uploader:
        yield uploader.at_each_call("signal=SIGKILL", of=changes)


def changes(call: SystemCall) -> bool:
    """Whether other processes can tell if it was made; what the others would leave is the same again."""
    return call.name in CHANGE or (call.name == "openat" and "O_CREAT" in call.text)


def story(upload: Upload) -> str:
    assert upload.fault
    return f"{upload.said}, {upload.found()}, {upload.staged()}, at {upload.fault.text}"


def test_p04_every_call_of_a_batch_that_changes_something_was_once_the_last_one(killed: list[Upload]) -> None:
    assert [story(upload) for upload in killed if upload.said] == []
    for upload in killed:
        assert upload.fault
        assert upload.calls[-1].name == upload.fault.name
    names = {upload.fault.name for upload in killed if upload.fault}
    assert names >= {"mkdirat", "openat", "flock", "writev", "utimensat", "fsync", "renameat", "unlinkat"}


def test_p04_each_artifact_of_a_batch_is_absent_or_old_or_new_and_always_whole(killed: list[Upload]) -> None:
    assert [story(upload) for upload in killed if upload.found() != upload.before() | upload.placed()] == []
    assert {tuple(upload.placed()) for upload in killed} == {(), ("new/a",), ("new/a", "a")}


def test_p04_what_a_killed_batch_left_is_swept_and_nothing_else(killed: list[Upload]) -> None:
    left = set()
    for upload in killed:
        found, files = upload.found(), upload.left()
        assert len(upload.staged()) <= 1
        assert upload.storage().sweep() == files, story(upload)
        assert upload.staged() == []
        assert upload.found() == found
        left.add(files)
    assert left == {0, 1, 2}


def test_p04_the_paths_of_a_killed_batch_can_be_written_again(killed: list[Upload]) -> None:
    """No lock of it is left."""
    for upload in killed[:: len(killed) // 8]:
        for name in BATCH.names:
            put(upload.storage(), name, b"again")
        assert upload.found() == dict.fromkeys(BATCH.names, b"again")
