"""P4: servers killed at random moments under load lose and tear nothing that they have acknowledged.

`make chaos` does the same hundreds of times.
"""

from __future__ import annotations

from pathlib import Path

from tests.chaos.roots import Root
from tests.chaos.storm import KILLED, storm

pytest_plugins = ["tests.chaos.fixtures"]


def test_p04_random_kills_lose_tear_and_leave_nothing(shared_root: Root, tmp_path: Path) -> None:
    with storm(shared_root, tmp_path) as storming:
        storming.round([KILLED] * 2, every=20)
        storming.finish()
    assert storming.wrong == []
    assert storming.counts[KILLED] == 2
    assert storming.counts["writes acknowledged"] > 10
