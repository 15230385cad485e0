"""The end of a request: all that was taken is given back, and all are told, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.hosts import Hosts
from app.api.visit import visit_of
from app.api.visits import PublicPaths, Visits

RELEASED = ["memory", "place", "thread"]
"""What is taken, in that order."""
OBSERVERS = ["audit", "measure", "log"]
STEPS = [*reversed(RELEASED), *reversed(OBSERVERS)]


class Failure(Exception):
    pass


class Ending:
    """A request with an end of several steps, of which some fail."""

    def __init__(self, *failing: str, app: BaseException | None = None) -> None:
        self.done: list[str] = []
        self.answers: list[int] = []
        self._failing = failing
        self._app = app

    def step(self, name: str) -> Callable[..., None]:
        def taken(*_: object) -> None:
            self.done.append(name)
            if name in self._failing:
                raise Failure(name)

        return taken

    def run(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            visit_of(scope).at_end.extend(self.step(name) for name in RELEASED)
            if self._app is not None:
                raise self._app
            await answered(send)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers.append(message["status"])

        observed = Visits(app, PublicPaths(), [self.step(name) for name in OBSERVERS])
        asyncio.run(asked(observed, send))


async def answered(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def asked(app: Any, send: Send, **headers: str) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "headers": given,
    }
    await app(scope | {"query_string": b""}, receive, send)


class TestTheEnd:
    def test_gives_back_what_was_taken_last_first_and_tells_the_observers_then(self) -> None:
        ending = Ending()
        ending.run()
        assert ending.done == STEPS

    @pytest.mark.parametrize("failing", STEPS)
    def test_goes_on_where_one_step_fails_and_the_failure_is_told(self, failing: str) -> None:
        ending = Ending(failing)
        with pytest.raises(Failure, match=failing):
            ending.run()
        assert ending.done == STEPS
        assert ending.answers == [200]

    def test_goes_on_where_every_step_fails(self) -> None:
        ending = Ending(*STEPS)
        with pytest.raises(Failure):
            ending.run()
        assert ending.done == STEPS

    @pytest.mark.parametrize("cause", [ZeroDivisionError(), asyncio.CancelledError()], ids=repr)
    def test_comes_as_well_after_a_request_that_failed(self, cause: BaseException) -> None:
        ending = Ending(app=cause)
        with pytest.raises(type(cause)):
            ending.run()
        assert ending.done == STEPS
        assert ending.answers == ([] if isinstance(cause, asyncio.CancelledError) else [500])

    def test_that_fails_after_a_request_that_failed_tells_both(self) -> None:
        with pytest.raises(Failure) as caught:
            Ending("place", app=ZeroDivisionError()).run()
        assert isinstance(caught.value.__context__, ZeroDivisionError)


def test_the_date_of_an_answer_is_that_of_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    dates = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            dates.append(dict(message["headers"])[b"date"].decode())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answered(send)

    seconds = [1e9, 1e9 + 0.999, 1e9 + 1, 1e9 + 86_400, 1e9]
    for now in seconds:
        monkeypatch.setattr("time.time", lambda now=now: now)
        asyncio.run(asked(Visits(app, PublicPaths(), []), send))
    found = [parsedate_to_datetime(date) for date in dates]
    assert found == [datetime.fromtimestamp(int(now), UTC) for now in seconds]
    assert dates[0] == "Sun, 09 Sep 2001 01:46:40 GMT"


def test_one_host_is_never_taken_for_another_though_it_was_judged_before() -> None:
    served: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(dict(scope["headers"])[b"host"].decode())

    async def send(message: Message) -> None:
        pass

    judged = [True]
    hosts = Hosts(app, allowed=["own.example"], judged=lambda: judged[0], origins=[])
    own, foreign = (
        ["own.example", "OWN.example.:80"],
        ["evil.example", "own.example.evil", "", "own.example:x"],
    )
    for _ in range(3):
        for host in own + foreign:
            asyncio.run(visited(hosts, send, host))
    assert served == own * 3
    judged[0] = False
    asyncio.run(visited(hosts, send, "evil.example"))
    assert served[-1] == "evil.example"


async def visited(hosts: Hosts, send: Send, host: str) -> None:
    await asked(Visits(hosts, PublicPaths(), []), send, host=host)
