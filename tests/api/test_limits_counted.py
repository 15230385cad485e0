"""Who may ask for how much, in a time of the test's own: requests per second, and transfers at once."""

from __future__ import annotations

import pytest

from app.api.limits import Limits
from app.errors import TooManyRequests
from app.identity.base import ANYBODY, Identity
from app.identity.permissions import EVERYTHING

ALICE, BOB = Identity("token", "alice", EVERYTHING), Identity("token", "bob", EVERYTHING)


class TestRequestsPerSecond:
    def test_a_burst_of_two_seconds_is_taken_and_then_as_many_as_time_brings(self) -> None:
        now = [1000.0]
        limits = Limits(requests_per_second=5, clock=lambda: now[0])

        def taken() -> int:
            count = 0
            while True:
                try:
                    limits.take_request(ALICE)
                except TooManyRequests:
                    return count
                count += 1

        counts = [taken()]
        for seconds in (0.0, 0.2, 0.19, 0.02, 1.0, 3600.0):
            now[0] += seconds
            counts.append(taken())
        assert counts == [10, 0, 1, 0, 1, 5, 10]

    def test_each_identity_has_its_own_and_nobody_in_particular_has_none(self) -> None:
        limits = Limits(requests_per_second=1, clock=lambda: 0.0)
        for identity in (ALICE, BOB, Identity("corp", "alice", EVERYTHING)):
            for _ in range(2):
                limits.take_request(identity)
            with pytest.raises(TooManyRequests) as refused:
                limits.take_request(identity)
            assert refused.value.seconds == 1
        for _ in range(10):
            limits.take_request(ANYBODY)

    def test_there_may_be_no_limit(self) -> None:
        limits = Limits(clock=lambda: 0.0)
        for _ in range(100):
            limits.take_request(ALICE)

    def test_many_names_do_not_fill_the_memory_and_win_no_requests(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.api.limits._MAX_BUCKETS", 10)
        now = [0.0]
        limits = Limits(requests_per_second=1, clock=lambda: now[0])
        for number in range(100):
            now[0] += 1
            limits.take_request(ALICE._replace(name=str(number)))
        assert len(limits._buckets) <= 10
        for number in range(20):  # all at once, among them one that has used its share
            limits.take_request(BOB._replace(name=str(number)))
        limits.take_request(BOB._replace(name="0"))
        with pytest.raises(TooManyRequests):
            limits.take_request(BOB._replace(name="0"))


class TestTransfersAtOnce:
    def test_one_identity_takes_no_more_than_its_share(self) -> None:
        limits = Limits(transfers_per_identity=2)
        for identity in (ALICE, ALICE, BOB):
            limits.begin_transfer(identity)
        with pytest.raises(TooManyRequests):
            limits.begin_transfer(ALICE)
        limits.end_transfer(ALICE)
        limits.begin_transfer(ALICE)
        with pytest.raises(TooManyRequests):
            limits.begin_transfer(ALICE)

    def test_nobody_in_particular_has_no_share(self) -> None:
        limits = Limits(transfers_per_identity=1)
        for _ in range(3):
            limits.begin_transfer(ANYBODY)

    def test_who_has_none_running_is_forgotten(self) -> None:
        limits = Limits(transfers_per_identity=1)
        for identity in (ALICE, ALICE, BOB):
            limits.begin_transfer(identity)
            limits.end_transfer(identity)
        assert not limits._transfers
