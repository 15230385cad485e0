"""HTTP/1.1 on a connection: uvicorn's protocol, where it does less or more than a store of files needs.

The parser takes `Upgrade` for the end of HTTP and drops the body behind it, which for a PUT with
`Upgrade: h2c` (Java's client sends that by default) means an empty artifact. It gives trailers out
as headers. It collects a head of any size, cuts a fragment and a host off the target, and lets
framing through that others on the way may read otherwise. Its errors are made ours here, too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.pace import Pace
from app.api.visit import request_id
from app.server.body import Body
from app.server.linger import LingeringTransport
from app.server.refusal import MALFORMED, Refusal, not_implemented

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope

DISCARD_SECONDS = 30.0
"""For so long the rest of a body is read that nobody wants any more, so that the connection may stay."""
_HEADER_COST = 32
"""Bytes that each header counts for besides its own (as in RFC 9113, section 6.5.2)."""
WAITING_REQUESTS = 100
"""So many wait behind the one that is answered. Those behind them get no answer, and can be sent again."""
_REQUEST_LINE = re.compile(rb"(?:\A|\n)(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP/1\.[01]\r?\n")
_KNOWN_METHODS = {b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH"}
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class RefusedHead(Exception):
    """Ends the parsing of a head; the parser wraps it in an error of its own."""


class PipelineFlow(FlowControl):
    """Reads nothing more once there is enough: requests that wait for their turn, each of which takes memory.

    The one that is answered meanwhile has come completely.
    """

    def __init__(self, transport: asyncio.Transport, has_enough: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._has_enough = has_enough

    def resume_reading(self) -> None:
        if not self._has_enough():
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    _in_head = False
    _head_bytes = 0
    _read_bytes = 0
    _saw_body = False
    _refusal: Refusal | None = None
    _answering: RequestResponseCycle | None = None
    _discarding: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, max_target: int, max_head: int, pace: Pace, **options: Any) -> None:
        """`max_target` and `max_head`: bytes of a request target, and of all that stands before a body or
        behind it; `pace`: at which clients must take answers."""
        super().__init__(*arguments, **options)
        self._max_target = max_target
        self._max_head = max_head
        self._pace = pace

    def connection_made(  # type: ignore[override]  # uvicorn's own takes less than asyncio's says, too
        self, transport: asyncio.Transport
    ) -> None:
        lingering = LingeringTransport(
            transport, self.loop, self._pace, self._expects_more, self._breaks_off, self._lingers
        )
        super().connection_made(lingering)
        self.flow = PipelineFlow(lingering, self._has_enough)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, partial(_cancellable, app, Body(cycle)))
        self.flow.resume_reading()  # of the last one that waited there may be more to come

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_discarding()
        super().connection_lost(exc)
        # uvicorn tells only the request that came last, which may be waiting behind the one that is answered.
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()

    def _has_enough(self) -> bool:
        return bool(self.pipeline) or self._refusal is not None

    def _expects_more(self) -> bool:
        # Of what comes behind those that wait nothing is read.
        return self._in_head or self._has_enough() or (self.cycle is not None and self.cycle.more_body)

    def _breaks_off(self) -> bool:
        cycle = self._answering
        return cycle is not None and cycle.response_started and not cycle.response_complete

    def _lingers(self) -> None:
        """The last answer is given; what still comes is dropped."""

    def _has_answered(self) -> bool:
        """Whether the client would take another answer for a part of an earlier one, or for that to its next
        request."""
        return self.cycle is not None and self.cycle.response_started and self.cycle.more_body

    def data_received(self, data: bytes) -> None:
        assert isinstance(self.transport, LingeringTransport)
        if self._refusal is not None or self.transport.is_closing():
            self.transport.drop(len(data))
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserInvalidMethodError:
            line = _REQUEST_LINE.search(data)
            unknown = line is not None and line["method"] not in _KNOWN_METHODS
            self._refuse(not_implemented(line["method"]) if line and unknown else MALFORMED)
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
        else:
            # What is no body, a trailer too, is collected by the parser.
            self._read_bytes = 0 if self._saw_body else self._read_bytes + len(data)
            self._saw_body = False
            if self._read_bytes > self._max_head:
                self._refuse(self._large_head())

    def _large_head(self) -> Refusal:
        return Refusal(431, f"The request's head is larger than {self._max_head} bytes; send less.")

    def _decline_upgrade(self, rest: bytes) -> None:
        """Starts the request anew without `Upgrade`, which a server may ignore (RFC 9110, 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(not_implemented(method))
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._saw_body = True  # what came before belongs to another request
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        if b"#" in url:  # would be cut off, and another artifact be meant than was named
            raise ValueError("a fragment is no part of a request target")
        super().on_url(url)
        if len(self.url) > self._max_target:
            self._stop(Refusal(414, f"The request target is longer than {self._max_target} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind the body are trailers, which nobody asked for
            super().on_header(name, value)
            self._head_bytes += len(name) + len(value) + _HEADER_COST
            if self._head_bytes > self._max_head:
                self._stop(self._large_head())

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= WAITING_REQUESTS:
            self._stop(Refusal(429, f"More than {WAITING_REQUESTS} requests wait for their answers."))
        if not self.parser.should_upgrade():
            self._judge_head()
            super().on_headers_complete()
        self._in_head = False

    def _judge_head(self) -> None:
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            self._stop(Refusal(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."))
        codings = self._values(b"transfer-encoding")
        if codings and (version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]):
            self._stop(
                Refusal(400, "No Transfer-Encoding but one chunked is accepted, and none in HTTP/1.0.")
            )
        hosts = self._values(b"host")
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            self._stop(Refusal(400, f"There are {len(hosts)} Host headers; send one."))
        absolute = _ABSOLUTE.fullmatch(self.url)
        if absolute:
            if not absolute[1] or b"@" in absolute[1]:
                self._stop(Refusal(400, "A URL as request target needs a host, and no credentials."))
            # What the target says counts (RFC 9112, section 3.2.2).
            self.url = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
            self.headers[:] = [header for header in self.headers if header[0] != b"host"]
            self.headers.append((b"host", absolute[1]))
        elif not self.url.startswith(b"/") and self.url != b"*":
            self._stop(Refusal(400, "The request target is neither a path nor a URL."))

    def _values(self, name: bytes) -> list[bytes]:
        return [value for given, value in self.headers if given == name]

    def _given_id(self) -> str | None:
        """What the request that is being read is called by its client."""
        if not self._in_head and (self.cycle is None or not self.cycle.more_body):
            return None  # the headers are those of one before
        return next((given.decode("latin-1") for given in self._values(b"x-request-id")), None)

    def on_body(self, body: bytes) -> None:
        self._saw_body = True
        if not self.parser.should_upgrade():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            # Also if the answer is complete already, after which uvicorn takes no notice.
            self.cycle.more_body = False
            self._stop_discarding()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body and not self.transport.is_closing():
            self._discarding = self.loop.call_later(DISCARD_SECONDS, self.transport.close)

    def _stop_discarding(self) -> None:
        if self._discarding is not None:
            self._discarding.cancel()
            self._discarding = None

    def pause_writing(self) -> None:
        super().pause_writing()
        assert isinstance(self.transport, LingeringTransport)
        self.transport.watch()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Refusal(400, msg))

    def _stop(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise RefusedHead

    def _refuse(self, refusal: Refusal) -> None:
        """Answers before there is a request, in the form of all our errors, and closes."""
        self._refusal = refusal
        known_as = request_id(self._given_id())
        self._tell(refusal, known_as)
        if self.pipeline and self.cycle.more_body:
            # It waits for its turn, which never comes.
            self.pipeline.popleft()
            assert self._answering is not None
            self.cycle = self.pipeline[0][0] if self.pipeline else self._answering
        if self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body:
            # What was asked before is done, and its answer is the last one.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._has_answered():
            self.transport.close()
            return
        self.transport.write(refusal.answer(known_as, self.server_state.default_headers))
        self.transport.close()

    def _tell(self, refusal: Refusal, known_as: str) -> None:
        peer = self.client[0] if self.client else "?"
        self.logger.warning(
            "Refused what came from %s (%d %s): %s",
            *(peer, refusal.status, refusal.phrase, refusal.message),
            extra={"request_id": known_as},
        )


async def _cancellable(
    app: ASGI3Application, body: Body, scope: Scope, _: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Calls `app`, which is cancelled when the server ends and has cut its connection.

    uvicorn would take that for a fault of it.
    """
    with suppress(asyncio.CancelledError):
        await app(scope, body.receive, send)
