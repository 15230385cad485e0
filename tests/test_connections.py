"""Which connection goes when there are too many, and what those are told that are one too many."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.server import connections
from app.server.connections import Connections, CountedProtocol
from app.server.descriptors import MOST_CONNECTIONS, SURPLUS, shares

LIMIT = 3
HALF = SURPLUS // 2


class Transport:
    def __init__(self) -> None:
        self.ended = ""

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Client:
    """A connection as `Connections` sees it."""

    def __init__(self, loop: Counted) -> None:
        self.loop = loop
        self.transport = Transport()

    def turn_away(self) -> None:
        self.transport.ended = "turned away"

    def give_up(self) -> None:
        self.transport.ended = "given up"

    @property
    def ended(self) -> str:
        return self.transport.ended


class Counted:
    """`Connections` with a clock, timers and clients of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connections = Connections(LIMIT, "/prefix")
        self.now = 1000.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        monkeypatch.setattr("app.server.connections.time", SimpleNamespace(monotonic=lambda: self.now))

    def open(self) -> CountedProtocol:
        client = cast(CountedProtocol, Client(self))
        self.connections.opened(client)
        return client

    def work(self, client: CountedProtocol, target: bytes = b"/v1/artifacts/a") -> bool:
        return self.connections.works(client, target)

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> None:
        self.timers.append((self.now + seconds, lambda: callback(*arguments)))

    def pass_time(self) -> None:
        """Until the only timer that is set."""
        [(self.now, call)] = self.timers
        self.timers.clear()
        call()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def ended(client: CountedProtocol) -> str:
    return cast(Client, client).ended


def test_one_too_many_takes_the_place_of_the_one_that_has_been_idle_for_longest(counted: Counted) -> None:
    clients = [counted.open() for _ in range(LIMIT)]
    first, second, _ = clients
    for client in (*clients, first):
        assert counted.work(client)
        counted.connections.rests(client)
    counted.connections.asks(second)
    newcomers = [counted.open() for _ in range(2)]
    assert [ended(client) for client in (*clients, *newcomers)] == ["closed", "", "closed", "", ""]
    assert all(counted.work(client) for client in newcomers)
    assert counted.work(second)


def test_one_on_which_nothing_was_asked_for_long_counts_as_idle(counted: Counted) -> None:
    clients = [counted.open() for _ in range(LIMIT)]
    counted.now += connections._SILENCE_SECONDS - 1
    counted.connections.asks(clients[0])
    assert not counted.work(counted.open())
    counted.now += 1
    newcomer = counted.open()
    assert counted.work(newcomer)
    assert [ended(client) for client in clients] == ["", "turned away", ""]


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics?x=y", "/prefix/health", "/prefix/metrics"])
def test_where_none_is_idle_only_health_is_answered(counted: Counted, path: str) -> None:
    assert all(counted.work(counted.open()) for _ in range(LIMIT))
    asking, other = counted.open(), counted.open()
    assert counted.work(asking, path.encode())
    assert counted.connections.is_surplus(asking)
    assert not counted.work(other, b"/healthy")
    assert not counted.connections.is_surplus(other)


def test_one_too_many_is_served_if_another_has_gone_by_the_time_it_asks(counted: Counted) -> None:
    clients = [counted.open() for _ in range(LIMIT)]
    assert all(counted.work(client) for client in clients)
    surplus = [counted.open() for _ in range(2)]
    counted.connections.lost(clients[0])
    assert [counted.work(client) for client in surplus] == [True, False]


def test_of_too_many_that_do_not_ask_those_go_first_that_came_first(counted: Counted) -> None:
    assert all(counted.work(counted.open()) for _ in range(LIMIT))
    surplus = [counted.open() for _ in range(HALF)]
    told, asks_health = surplus[5], surplus[7]
    assert not counted.work(told)
    assert counted.work(asks_health, b"/health")
    assert not any(ended(client) for client in (*surplus, counted.open()))
    newcomer = counted.open()
    assert ended(surplus[0]) == "turned away"
    assert not any(ended(client) for client in (*surplus[1:], newcomer))
    assert counted.work(newcomer, b"/health")


def test_those_that_are_told_but_do_not_go_never_take_the_last_descriptors(counted: Counted) -> None:
    busy = [counted.open() for _ in range(LIMIT)]
    assert all(counted.work(client) for client in busy)
    others = []
    for _ in range(5 * SURPLUS):
        others.append(counted.open())
        still_open = [client for client in (*busy, *others) if ended(client) != "aborted"]
        assert len(still_open) <= LIMIT + SURPLUS
    ends = [ended(client) for client in others]
    assert ends == ["aborted"] * (4 * SURPLUS) + ["turned away"] * HALF + [""] * HALF
    assert not any(ended(client) for client in busy)


def test_those_that_have_their_answer_and_still_send_keep_no_newcomer_out(counted: Counted) -> None:
    assert all(counted.work(counted.open()) for _ in range(LIMIT))
    for client in [counted.open() for _ in range(HALF)]:
        assert counted.work(client, b"/health")
        counted.connections.lingers(client)
    newcomers = [counted.open() for _ in range(HALF)]
    assert all(counted.work(client, b"/health") for client in newcomers)
    assert not any(ended(client) for client in newcomers)


def test_where_all_of_the_surplus_ask_after_health_the_newcomer_goes(counted: Counted) -> None:
    for client in [counted.open() for _ in range(LIMIT + HALF)]:
        assert counted.work(client, b"/health")
    assert ended(counted.open()) == "turned away"


def test_who_asks_for_too_long_is_given_up_in_time_and_nobody_else(counted: Counted) -> None:
    began = counted.now
    slow, busy, later = (counted.open() for _ in range(3))
    assert counted.work(busy)
    counted.now += 10
    counted.connections.asks(later)
    counted.pass_time()
    assert counted.now == began + connections.HEAD_SECONDS
    assert [ended(client) for client in (slow, busy, later)] == ["given up", "", ""]
    counted.pass_time()
    assert counted.now == began + 10 + connections.HEAD_SECONDS
    assert [ended(client) for client in (slow, busy, later)] == ["given up", "", "given up"]
    assert not counted.timers
    counted.connections.asks(busy)
    counted.pass_time()
    assert ended(busy) == "given up"


def test_none_is_remembered_once_it_is_gone(counted: Counted) -> None:
    for _ in range(3):
        clients = [counted.open() for _ in range(LIMIT + 2 * SURPLUS)]
        for number, client in enumerate(clients):
            if number % 3 == 0:
                counted.work(client)
            elif number % 3 == 1 and number < LIMIT:
                counted.connections.rests(client)
        for client in clients:
            counted.connections.lost(client)
            counted.connections.lost(client)
    groups = (value for value in vars(counted.connections).values() if isinstance(value, dict))
    assert not any(groups)


def test_descriptors_are_shared_between_connections_and_storage() -> None:
    for limit in (256, 1024, 65_536):
        for wanted in (0, 512):
            found = shares(limit, threads=32, transfers=wanted, connections=0)
            assert found.transfers <= found.connections
            assert found.connections + SURPLUS + 2 * found.transfers + 2 * 32 <= limit
            assert wanted == 0 or found.transfers <= wanted
            assert found.connections <= MOST_CONNECTIONS
    assert shares(65_536, threads=32, transfers=512, connections=0) == (512, MOST_CONNECTIONS)
    assert shares(65_536, threads=32, transfers=512, connections=700) == (512, 700)
    assert shares(65_536, threads=32, transfers=512, connections=20_000) == (512, 20_000)
    assert min(shares(20, threads=32, transfers=512, connections=700)) == 1
