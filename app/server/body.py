"""A request's body on its way from the parser to the application.

uvicorn collects the pieces in a buffer and copies that out again: two copies of every byte that is
uploaded. Here a piece that comes alone, as they mostly do, is handed over itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent


class Body:
    """Takes the place of a cycle's own buffer, to which uvicorn adds what comes, and of its `receive`."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        """Takes over what the cycle has of it already."""
        self._cycle = cycle
        self._held: bytes | bytearray = cycle.body
        cycle.body = self  # type: ignore[assignment]  # of a buffer only what is here is used

    def __iadd__(self, piece: bytes) -> Self:
        if not self._held:
            self._held = piece
        else:
            # Not as pieces: each costs memory of its own, and a hostile client may send them byte by byte.
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += piece
        return self

    def __len__(self) -> int:
        return len(self._held)

    async def receive(self) -> ASGIReceiveEvent:
        """As ASGI wants it: what has come since the last time, once something has."""
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        if not cycle.disconnected and not cycle.response_complete:
            cycle.flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected or cycle.response_complete:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._taken(), "more_body": cycle.more_body}

    def _taken(self) -> bytes:
        taken, self._held = bytes(self._held), b""  # of bytes no copy is made
        return taken
