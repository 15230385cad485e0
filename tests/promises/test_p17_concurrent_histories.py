"""P17: a finished write is seen by every later read and listing, through whichever replica it is asked for.

What many clients were told while two replicas paused, clients broke off and the store was faulty must
be explained by one register for each key: `tests.chaos.register` is the judge. `make chaos` does the
same for minutes, and kills the replicas as well.
"""

from __future__ import annotations

from pathlib import Path

from tests.chaos.roots import Root
from tests.chaos.storm import PAUSED, storm

pytest_plugins = ["tests.chaos.fixtures"]

OPERATIONS = 180


def test_p17_a_finished_write_is_seen_through_any_replica(shared_root: Root, tmp_path: Path) -> None:
    faults = [*shared_root.faults, PAUSED, PAUSED, PAUSED]
    with storm(shared_root, tmp_path) as storming:
        storming.round(faults, every=OPERATIONS // len(faults))
        storming.finish()
    assert storming.wrong == []
    assert storming.counts["client resets an upload"]
    for what in ("writes acknowledged", "read", "range", "head", "listing"):
        assert storming.counts[what], what
