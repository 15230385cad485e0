"""No more connections than there are descriptors for, and one always for whoever asks after health.

A connection too many takes the place of the one that has been idle for longest. If none is idle, it is
told to come back later, unless it asks for what is always answered.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app import metrics
from app.api.visit import GONE, request_id
from app.descriptors import SURPLUS
from app.errors import ServerBusy
from app.protocol import HttpProtocol
from app.refusal import Refusal

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

ALWAYS_ANSWERED = ("/health", "/ready", "/metrics")
_SILENCE_SECONDS = 5.0
"""A connection on which nothing was asked for so long counts as idle."""
_FRAMING = {b"content-length", b"transfer-encoding"}

_Group: TypeAlias = "dict[CountedProtocol, float]"
"""Connections with the time since when they are in it, the one that has been for longest first."""


class Connections:
    """Those of one process."""

    def __init__(self, limit: int, static_prefix: str) -> None:
        self._limit = limit
        self._always_answered = {
            f"{prefix}{path}".encode() for prefix in ("", static_prefix) for path in ALWAYS_ANSWERED
        }
        self._groups: dict[CountedProtocol, _Group] = {}
        """In which of these each one is."""
        self._asking: _Group = {}
        """Nothing is asked yet, or not completely."""
        self._busy: _Group = {}
        self._idle: _Group = {}
        """All is answered."""
        self._leaving: _Group = {}
        """Closed from here, but the client may still be sending."""
        self._surplus: _Group = {}
        """Those beyond the limit, among those that ask or are busy."""

    def opened(self, connection: CountedProtocol) -> None:
        self._move(connection, self._asking)
        if self._served() > self._limit and not self._close_an_idle_one():
            self._surplus[connection] = time.monotonic()
        if len(self._groups) > self._limit + SURPLUS:
            waiting = (other for other in self._surplus if other in self._asking)
            if victim := next(iter(self._leaving), None):
                self.lost(victim)
                victim.transport.abort()
            else:
                victim = next(waiting, connection)
                self._move(victim, self._leaving)
                victim.turn_away()

    def _served(self) -> int:
        return len(self._groups) - len(self._leaving) - len(self._surplus)

    def _close_an_idle_one(self) -> bool:
        """Whether there was one."""
        victim = next(iter(self._idle), None)
        if victim is not None:
            victim.transport.close()
        else:
            victim = next((other for other in self._asking if other not in self._surplus), None)
            if victim is None or time.monotonic() - self._asking[victim] < _SILENCE_SECONDS:
                return False
            victim.turn_away()
        self._move(victim, self._leaving)
        return True

    def asks(self, connection: CountedProtocol) -> None:
        """A request has begun to come."""
        self._move(connection, self._asking)

    def works(self, connection: CountedProtocol, target: bytes) -> bool:
        """A request for `target` has come; whether it is to be answered."""
        if connection in self._surplus and self._served() < self._limit:
            del self._surplus[connection]
        answered = connection not in self._surplus or target.partition(b"?")[0] in self._always_answered
        self._move(connection, self._busy if answered else self._leaving)
        return answered

    def is_surplus(self, connection: CountedProtocol) -> bool:
        return connection in self._surplus

    def rests(self, connection: CountedProtocol) -> None:
        """All is answered."""
        self._move(connection, self._idle)

    def lost(self, connection: CountedProtocol) -> None:
        self._move(connection, None)

    def _move(self, connection: CountedProtocol, group: _Group | None) -> None:
        former = self._groups.pop(connection, None)
        if former is not None:
            del former[connection]
        if group is self._leaving or group is None:
            self._surplus.pop(connection, None)
        if group is not None:
            self._groups[connection] = group
            group[connection] = time.monotonic()


class CountedProtocol(HttpProtocol):
    """A connection that is one of no more than there may be."""

    _gone: asyncio.Future[None]

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._counted = connections

    def connection_made(  # type: ignore[override]  # uvicorn's own takes less than asyncio's says, too
        self, transport: asyncio.Transport
    ) -> None:
        super().connection_made(transport)
        self._gone = self.loop.create_future()
        self._counted.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._counted.lost(self)
        self._gone.set_result(None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self.cycle is None or self._is_done():
            self._counted.asks(self)

    def turn_away(self) -> None:
        """Answers before anything was asked, so that nothing need be read for that."""
        self.transport.write(_full().answer(request_id(), self.server_state.default_headers))
        self.transport.close()

    def on_headers_complete(self) -> None:
        if not self._counted.works(self, self.url):
            self._stop(_full())
        super().on_headers_complete()
        if self.cycle is not None and self._counted.is_surplus(self):
            self.cycle.keep_alive = False
        if any(name in _FRAMING for name, _ in self.headers):
            # Until the body is asked for: so a request that waits for its turn holds little of it.
            self.flow.pause_reading()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]  # its type has no room for more
        scope[GONE] = self._gone
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.parser.should_upgrade():
            self.flow.resume_reading()  # all of it is here; now its end is of interest
        self._rest_if_done()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._rest_if_done()

    def _rest_if_done(self) -> None:
        if self.cycle is not None and self._is_done() and not self.transport.is_closing():
            if self._in_head:
                self._counted.asks(self)
            else:
                self._counted.rests(self)

    def _is_done(self) -> bool:
        return not self.pipeline and self.cycle.response_complete and not self.cycle.more_body


def _full() -> Refusal:
    busy = ServerBusy("The server has as many connections as it may have; try again later.", "connections")
    metrics.SHED.labels(busy.lacking).inc()
    return Refusal(503, str(busy), busy.seconds)
