"""P4: a server that is killed at any moment of an upload tears nothing, and what it leaves is swept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.artifacts import put
from tests.support.faulty_uploads import ABORTED, REPLACEMENT, Upload, uploading


@pytest.fixture(scope="module")
def killed(
    need: Callable[[str], str], need_root: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Upload]]:
    """Uploads of which each was killed when it was about to make another one of its system calls."""
    with uploading(need("strace"), tmp_path_factory.mktemp("killed")) as uploader:
        yield uploader.at_each_call("signal=SIGKILL")


def story(upload: Upload) -> str:
    assert upload.fault
    return f"{upload.kind}: {upload.said}, {upload.found()}, {upload.staged()}, at {upload.fault.text}"


def test_p04_every_call_of_an_upload_was_once_the_last_one(killed: list[Upload]) -> None:
    assert [story(upload) for upload in killed if upload.said] == []
    for upload in killed:
        assert upload.fault
        assert upload.calls[-1].name == upload.fault.name
    names = {upload.fault.name for upload in killed if upload.fault}
    assert names >= {"openat", "writev", "fsync", "renameat", "mkdirat", "close", "flock", "unlinkat"}


def test_p04_an_artifact_is_absent_or_old_or_new_and_always_whole(killed: list[Upload]) -> None:
    def expected(upload: Upload) -> dict[str, bytes]:
        return upload.before() | upload.placed()

    assert [story(upload) for upload in killed if upload.found() != expected(upload)] == []
    assert {bool(upload.placed()) for upload in killed if upload.kind is REPLACEMENT} == {False, True}


def test_p04_what_a_killed_upload_left_is_swept_and_nothing_else(killed: list[Upload]) -> None:
    left = 0
    for upload in killed:
        found, staged = upload.found(), upload.staged()
        assert len(staged) <= 1
        assert upload.storage().sweep() == len(staged), story(upload)
        assert upload.staged() == []
        assert upload.found() == found
        left += len(staged)
    assert left > len(killed) / 3


def test_p04_the_path_of_a_killed_upload_can_be_written_again(killed: list[Upload]) -> None:
    """No lock of it is left."""
    uploads = [upload for upload in killed if upload.kind is not ABORTED]
    for upload in uploads[:: len(uploads) // 20]:
        (name,) = upload.kind.names
        put(upload.storage(), name, b"again")
        assert upload.found()[name] == b"again"
