"""A server process, and its end: in order, within a time that is known before, whatever its clients and
its storage do.

uvicorn waits without limit for connections and threads, and takes a request that it cancels for a
fault of the application. Here the signal first makes others look elsewhere, then nothing new is
accepted, then what runs has its time, then it is cut, and what hangs all the same is left behind.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

logger = logging.getLogger(__name__)

ABORT_SECONDS = 10.0
"""For so long what was aborted may clean up after itself, and the storage may take to close."""
ECHO_SECONDS = 0.5
"""What comes so soon is the same signal: launchers pass it on, and the terminal sends it to all by itself."""
_END_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_SECONDS = 0.05
_ARRIVAL_SECONDS = 1.0
_LAST_ANSWER = (b"connection", b"close")


class Patience(NamedTuple):
    """Seconds from the signal to the end."""

    delay: float
    """In which new requests are still served."""
    timeout: float
    """That requests have after it, before they are aborted."""

    @property
    def whole(self) -> float:
        return self.delay + self.timeout + ABORT_SECONDS


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, patience: Patience) -> None:
        super().__init__(config)
        self._patience = patience
        self._asked_to_end = 0.0

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The handlers stay, for whoever loses patience with the last steps, too."""
        for number in _END_SIGNALS:
            signal.signal(number, self.handle_exit)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _END_SIGNALS)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self.should_exit = True
            self._asked_to_end = time.monotonic()
            if self.config.loaded:
                app: Any = self.config.loaded_app
                app.state.drain.begun = True
            self._send_away()
        elif time.monotonic() - self._asked_to_end > ECHO_SECONDS:
            self.insist(sig)

    def insist(self, sig: int) -> None:
        """At a second signal: stops at once. What uploads leave is swept later."""
        os._exit(128 + sig)

    def _send_away(self) -> None:
        """From now on each answer is the last of its connection, so that clients go elsewhere."""
        headers = self.server_state.default_headers
        if _LAST_ANSWER not in headers:
            headers.append(_LAST_ANSWER)

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        if ends:
            self._send_away()  # the headers may have been made anew
        return ends

    async def main_loop(self) -> None:
        await super().main_loop()
        if self._patience.delay:
            logger.info("Draining: new requests are served for %g seconds more.", self._patience.delay)
            await asyncio.sleep(self._patience.delay)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        state, seconds = self.server_state, self._patience.timeout
        logger.info("Shutting down: %d requests have %g seconds to finish.", len(state.tasks), seconds)
        await self._finish()
        _end_within(ABORT_SECONDS)
        if state.tasks:
            logger.warning("Aborting %d requests that did not finish in time.", len(state.tasks))
        await self._abort()
        await self.lifespan.shutdown()

    async def _finish(self) -> None:
        begun, waited = time.monotonic(), 0.0
        while self._is_busy() and waited <= self._patience.timeout:
            for connection in self._connections():
                # One that was accepted this moment has its first request on the way.
                if connection.cycle or waited > _ARRIVAL_SECONDS:
                    connection.shutdown()
            await asyncio.sleep(_LOOK_SECONDS)
            waited = time.monotonic() - begun

    async def _abort(self) -> None:
        """Cuts the connections, and cancels requests, which may be waiting for something else."""
        for connection in self._connections():
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _connections(self) -> list[HttpToolsProtocol]:
        return [*cast("set[HttpToolsProtocol]", self.server_state.connections)]

    def _is_busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)


def _end_within(seconds: float) -> None:
    """Ends the process then, although threads hang: they cannot be interrupted, and Python waits for them."""
    ending = threading.Timer(seconds, _leave)
    ending.daemon = True
    ending.start()


def _leave() -> None:
    logger.error("Ending, although the storage still hangs: what it holds of uploads is swept later.")
    logging.shutdown()  # which waits for no reader of the log, either
    os._exit(0)
