"""No more connections than there are descriptors for, and one always for whoever asks after health.

A connection too many takes the place of the one that has been idle for longest. If none is idle, it is
told to come back later, unless it asks for what is always answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, TypeAlias

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app import metrics
from app.api.visit import GONE, LOOK, request_id
from app.errors import ServerBusy
from app.server.descriptors import SURPLUS
from app.server.linger import LingeringTransport
from app.server.protocol import HttpProtocol
from app.server.refusal import Refusal

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

logger = logging.getLogger(__name__)

ALWAYS_ANSWERED = ("/health", "/ready", "/metrics")
_SILENCE_SECONDS = 5.0
"""A connection on which nothing was asked for so long counts as idle."""
HEAD_SECONDS = 60.0
"""For so long a request's head may take to come, from its first byte or from the opening on."""
_TOLD_SECONDS = 1.0
"""The log has one line for all that were refused in that time."""
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
        self._looking = False
        """Whether those that ask are looked at in time."""
        self._refused = 0
        """Those of which the log does not tell yet."""

    def opened(self, connection: CountedProtocol) -> None:
        self.asks(connection)
        if self._served() > self._limit and not self._close_an_idle_one():
            self._surplus[connection] = time.monotonic()
        # Those that leave hold descriptors, too, and so must never have all that are left.
        if len(self._groups) - len(self._leaving) > self._limit + SURPLUS // 2:
            victim = next((other for other in self._surplus if other in self._asking), connection)
            self._move(victim, self._leaving)
            victim.turn_away()
        if len(self._groups) > self._limit + SURPLUS:
            victim = next(iter(self._leaving))
            self.lost(victim)
            victim.transport.abort()

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
        """A request has begun to come, or may."""
        self._move(connection, self._asking)
        self._look_in_time(connection.loop)

    def _look_in_time(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._asking and not self._looking:
            seconds = next(iter(self._asking.values())) + HEAD_SECONDS - time.monotonic()
            self._looking = True
            loop.call_later(max(seconds, 1), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives up those that ask for too long."""
        self._looking = False
        too_long = time.monotonic() - HEAD_SECONDS
        for connection in [other for other, since in self._asking.items() if since <= too_long]:
            self._move(connection, self._leaving)
            connection.give_up()
        self._look_in_time(loop)

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

    def lingers(self, connection: CountedProtocol) -> None:
        """Its last answer is given."""
        if connection in self._groups:
            self._move(connection, self._leaving)

    def lost(self, connection: CountedProtocol) -> None:
        self._move(connection, None)

    def refused(self, loop: asyncio.AbstractEventLoop) -> None:
        """One was told that it is one too many."""
        if not self._refused:
            loop.call_later(_TOLD_SECONDS, self._tell)
        self._refused += 1

    def _tell(self) -> None:
        logger.warning(
            "Refused %d connections within %g s: there are as many as there may be, which is %d.",
            *(self._refused, _TOLD_SECONDS, self._limit),
        )
        self._refused = 0

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
        refusal, known_as = _full(), request_id()
        self._tell(refusal, known_as)
        self.transport.write(refusal.answer(known_as, self.server_state.default_headers))
        self.transport.close()

    def give_up(self) -> None:
        """Nothing was asked for too long."""
        if self._in_head:
            self._refuse(Refusal(408, f"The request's head did not come within {HEAD_SECONDS:g} seconds."))
        else:
            self.transport.close()

    def _tell(self, refusal: Refusal, known_as: str) -> None:
        if refusal.status == 503:
            self._counted.refused(self.loop)
        else:
            super()._tell(refusal, known_as)

    def _lingers(self) -> None:
        self._counted.lingers(self)

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
        scope[GONE], scope[LOOK] = self._gone, self._look
        super()._start_asgi_task(cycle, app)

    def _look(self) -> None:
        assert isinstance(self.transport, LingeringTransport)
        if self.transport.peer_is_gone():
            self.transport.abort()

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
        # Of a body that is still to come nobody wants the rest.
        return not self.pipeline and self.cycle.response_complete


def _full() -> Refusal:
    busy = ServerBusy("The server has as many connections as it may have; try again later.", "connections")
    metrics.SHED.labels(busy.lacking).inc()
    return Refusal(503, str(busy), busy.seconds)
