"""P7: a client that disappears while its archive is unpacked leaves nothing, and soon no work either."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.many_members import MANY, many_members, send_many, staged_members, stored_members
from tests.support.raw import connection
from tests.support.server import Server
from tests.support.waiting import wait_until


@pytest.fixture
def quick(serve: Callable[..., Server]) -> Server:
    """Which does not wait for the disk."""
    return serve("--durability", "none")


def test_p07_a_client_that_leaves_between_two_members_leaves_nothing(quick: Server) -> None:
    seen = [0]

    def nothing_is_left() -> bool:
        seen.append(staged_members(quick))
        return not quick.staged()

    with connection(quick.url) as connected:
        send_many(connected, "d", many_members(), left_out=1)
        wait_until(lambda: staged_members(quick), "the first member is staged")
    wait_until(nothing_is_left, "nothing of the archive is left")
    # It was not unpacked as far as it had come.
    assert max(seen) < MANY // 2
    assert quick.tree() == {}
    assert "Traceback" not in quick.log()


def test_p07_a_client_that_leaves_when_all_is_sent_leaves_all_of_it(quick: Server) -> None:
    with connection(quick.url) as connected:
        send_many(connected, "d", many_members())
        wait_until(lambda: stored_members(quick, "d"), "the first member is published")
    assert stored_members(quick, "d") < MANY
    wait_until(lambda: not quick.staged(), "all of it is over")
    assert stored_members(quick, "d") == MANY
