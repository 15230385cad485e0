"""Which connection goes when there are too many, and what those are told that are one too many."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socket import socket
from types import SimpleNamespace
from typing import cast

import pytest

from app import connections
from app.connections import Connections, CountedProtocol
from app.descriptors import SURPLUS, shares
from tests.support.raw import connection, exchange, head, read_answer
from tests.support.server import Server, running
from tests.support.waiting import wait_until

LIMIT = 3


class Transport:
    def __init__(self) -> None:
        self.ended = ""

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Client:
    """A connection as `Connections` sees it."""

    def __init__(self) -> None:
        self.transport = Transport()

    def turn_away(self) -> None:
        self.transport.ended = "turned away"

    @property
    def ended(self) -> str:
        return self.transport.ended


class Counted:
    """`Connections` with a clock and clients of the test's own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connections = Connections(LIMIT, "/prefix")
        self.now = 1000.0
        monkeypatch.setattr("app.connections.time", SimpleNamespace(monotonic=lambda: self.now))

    def open(self) -> CountedProtocol:
        client = cast(CountedProtocol, Client())
        self.connections.opened(client)
        return client

    def work(self, client: CountedProtocol, target: bytes = b"/v1/artifacts/a") -> bool:
        return self.connections.works(client, target)


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


def test_beyond_the_surplus_those_go_first_that_have_their_answer(counted: Counted) -> None:
    assert all(counted.work(counted.open()) for _ in range(LIMIT))
    surplus = [counted.open() for _ in range(SURPLUS)]
    told, asks_health = surplus[5], surplus[7]
    assert not counted.work(told)
    assert counted.work(asks_health, b"/health")
    first = counted.open()
    assert ended(told) == "aborted"
    second = counted.open()
    assert ended(surplus[0]) == "turned away"
    assert not any(ended(client) for client in (*surplus[1:5], *surplus[6:], first, second))
    assert counted.work(first, b"/health")


def test_where_all_of_the_surplus_ask_after_health_the_newcomer_goes(counted: Counted) -> None:
    for client in [counted.open() for _ in range(LIMIT + SURPLUS)]:
        assert counted.work(client, b"/health")
    assert ended(counted.open()) == "turned away"


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
    assert shares(65_536, threads=32, transfers=512, connections=700) == (512, 700)
    assert min(shares(20, threads=32, transfers=512, connections=700)) == 1


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """It may have three connections at once."""
    with running(tmp_path_factory.mktemp("small") / "root", "--max-connections", "3") as server:
        (server.root / "file").write_bytes(b"data")
        yield server


@contextmanager
def uploading(server: Server, count: int) -> Iterator[list[socket]]:
    """Connections that are all busy, each with an upload of one byte that does not come."""
    with ExitStack() as stack:
        opened = []
        for number in range(count):
            opened.append(stack.enter_context(connection(server.url)))
            opened[-1].sendall(head("PUT", f"/v1/artifacts/{number}", "Content-Length: 1"))
            wait_until(lambda: len(server.staged()) == len(opened), "the upload has begun")
        yield opened
    wait_until(lambda: not server.staged(), "the uploads are over")


class TestOverHttp:
    def test_where_all_are_busy_others_are_told_to_come_back(self, small: Server) -> None:
        with uploading(small, 3) as busy:
            for target in ("/v1/artifacts/file", "/version"):
                refused = exchange(small.url, head("GET", target))
                assert refused.status == 503
                assert 1 <= int(refused.headers["retry-after"]) <= 10
                assert refused.headers["connection"] == "close"
                assert json.loads(refused.body)["error_code"] == "TEMPORARILY_UNAVAILABLE"
            for target in ("/health", "/metrics"):
                answered = exchange(small.url, head("GET", target))
                assert (answered.status, answered.headers["connection"]) == (200, "close")
            busy[0].sendall(b"x")
            assert read_answer(busy[0]).status == 201
            assert exchange(small.url, head("GET", "/v1/artifacts/file")).body == b"data"

    def test_one_that_is_idle_makes_room(self, small: Server) -> None:
        with uploading(small, 2), connection(small.url) as idle:
            idle.sendall(head("GET", "/v1/artifacts/file"))
            assert read_answer(idle).status == 200
            with connection(small.url) as newcomer:
                for _ in range(2):
                    newcomer.sendall(head("GET", "/v1/artifacts/file"))
                    assert read_answer(newcomer).body == b"data"
                assert idle.recv(1) == b""

    def test_an_upload_that_is_one_too_many_gets_its_answer_while_it_still_sends(self, small: Server) -> None:
        with uploading(small, 3):
            request = head("PUT", "/v1/artifacts/large", "Content-Length: 3000000") + bytes(3_000_000)
            assert exchange(small.url, request).status == 503
        assert "large" not in small.tree()
