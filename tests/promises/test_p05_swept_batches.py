"""P5: whoever sweeps a root never removes a batch that lives, however long it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.storage.local import LocalSettings, LocalStorage, open_storage
from tests.support.artifacts import get, path, paths, stage
from tests.support.repeating import repeating
from tests.support.waiting import wait_until

NAMES = ["a", "d/b", "d/c"]


def another(root: Path) -> LocalStorage:
    """Another server's storage over the same root."""
    return open_storage(str(root), LocalSettings(), read_only=False)


@pytest.mark.parametrize("sweeps_itself", [False, True])
def test_p05_a_batch_lives_through_sweeps_between_all_of_its_steps(
    tmp_path: Path, *, sweeps_itself: bool
) -> None:
    storage = another(tmp_path / "root")
    sweeper = storage if sweeps_itself else another(tmp_path / "root")
    swept: list[int] = []

    def let_sweep() -> None:
        times = len(swept)
        wait_until(lambda: len(swept) > times + 1, "there was a whole sweep")

    with repeating(lambda: swept.append(sweeper.sweep()), 0.01), storage.batch() as batch:
        let_sweep()
        for name in NAMES:
            with batch.create(path(name)) as upload:
                upload.write(b"da")
                let_sweep()
                upload.write(b"ta")
                upload.commit()
            let_sweep()
        for _ in batch.judge():
            let_sweep()
        for published in batch.publish():
            assert published.error is None
            let_sweep()
    assert sum(swept) == 0
    assert {name: get(storage, name) for name in paths(storage)} == dict.fromkeys(NAMES, b"data")


def test_p05_batches_that_come_and_go_are_stored_beside_a_sweeper(tmp_path: Path) -> None:
    """One whose folder is taken at once, before it is locked, makes another."""
    storage, sweeper = another(tmp_path / "root"), another(tmp_path / "root")
    swept: list[int] = []
    with repeating(lambda: swept.append(sweeper.sweep())):
        wait_until(lambda: swept, "the sweeper is at work")
        for number in range(50):
            with storage.batch() as batch:
                stage(batch, f"d/{number}", b"%d" % number)
                (published,) = batch.publish()
                assert published.error is None
    assert sum(swept) == 0
    assert all(get(storage, f"d/{number}") == b"%d" % number for number in range(50))
    assert list((tmp_path / "root" / ".artifact-proxy" / "staging").iterdir()) == []
