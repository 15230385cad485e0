"""What is told of files of which a part only could be stored: how many there are, or which."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.api.folders.outcomes import ArchiveOutcome, FormOutcome, Outcome
from app.api.records import StoredRecords
from app.api.visit import Visit
from app.audit import AuditLog
from app.errors import PathConflict, ServerBusy, StorageError
from app.storage.base import Batch
from app.storage.entry import Entry
from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.support.artifacts import path, paths, put, stage

NAMES = ("bad/new", "bad/old", "good/a", "good/b")
FILES = dict.fromkeys(map(path, NAMES), None)
REFUSED = FILES | {path("good/a"): PathConflict("It is a directory.")}


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    log = AuditLog(str(tmp_path / "audit"))
    yield log
    log.close()


@pytest.fixture
def records(audit: AuditLog) -> StoredRecords:
    return StoredRecords(audit, Visit("some-id"))


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStorage:
    """In which one directory cannot be synced. An old artifact is in that."""
    opened = open_storage(str(tmp_path / "root"), LocalSettings(), read_only=False)
    put(opened, "bad/old", b"old")
    sync = os.fsync

    def fail(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/bad"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    return opened


def published(batch: Batch, names: tuple[str, ...], outcome: Outcome[object]) -> None:
    for name in names:
        stage(batch, name, b"12345")
    for each in batch.publish():
        outcome.add(each)


@pytest.mark.parametrize(
    ("names", "count"),
    [(NAMES, 1), (NAMES[::-1], 2), (("bad/new", "good/a", "good/b", "bad/old"), 2)],
)
def test_an_archive_counts_what_is_there_for_sure(
    storage: LocalStorage, records: StoredRecords, names: tuple[str, ...], count: int
) -> None:
    outcome = ArchiveOutcome(records)

    def store() -> None:
        with storage.batch() as batch:
            published(batch, names, outcome)
        outcome.whole(FILES)

    with pytest.raises(StorageError, match="failed at 'bad/") as failed:
        store()
    with pytest.raises(StorageError):
        outcome.broken_off(FILES, failed.value)
    assert failed.value.__notes__ == [f"At least {count} of {len(FILES)} artifacts were stored."]
    there = [name for name in paths(storage) if name.startswith("good")]
    assert len(there) == count


def test_a_form_tells_of_each_file_what_became_of_it(storage: LocalStorage, records: StoredRecords) -> None:
    outcome = FormOutcome(records)
    with storage.batch() as batch:
        published(batch, NAMES, outcome)
    told = {str(each.path): type(each.error) for each in outcome.whole(FILES)}
    lost = dict.fromkeys(NAMES[:2], StorageError)
    assert told == lost | dict.fromkeys(NAMES[2:], type(None))
    assert paths(storage) == ["bad/old", "good/a", "good/b"]


def test_a_form_that_is_broken_off_tells_of_each_file_what_became_of_it(
    storage: LocalStorage, records: StoredRecords
) -> None:
    outcome = FormOutcome(records)
    with storage.batch() as batch:
        for name in ("good/b", "bad/new", "bad/old"):
            stage(batch, name)
        publishing = batch.publish()
        outcome.add(next(publishing))
    told = outcome.broken_off(REFUSED, ServerBusy("busy", "threads"))
    assert [(str(each.path), type(each.error)) for each in told] == [
        *(("bad/new", ServerBusy), ("bad/old", ServerBusy)),
        *(("good/a", PathConflict), ("good/b", type(None))),
    ]
    assert isinstance(told[-1].entry, Entry)
    assert paths(storage) == ["bad/old", "good/b"]


@pytest.mark.parametrize("kind", [ArchiveOutcome, FormOutcome])
def test_the_audit_log_has_what_was_stored_and_what_of_that_is_not_safe(
    storage: LocalStorage,
    audit: AuditLog,
    records: StoredRecords,
    tmp_path: Path,
    kind: Callable[[StoredRecords], Outcome[object]],
) -> None:
    outcome = kind(records)
    with records, storage.batch() as batch:
        published(batch, ("bad/new", "good/a", "bad/old"), outcome)
    audit.close()
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    told = [(line["event"], line["request_id"], line["who"], line["paths"]) for line in lines]
    assert told == [
        ("stored", "some-id", None, ["bad/new", "good/a", "bad/old"]),
        ("unsafe", "some-id", None, ["bad/new", "bad/old"]),
    ]
