"""Several server processes that share one listening socket, and the process that keeps them running.

It is the only one that operators know: signals go to it, and through it to all workers at once. It
never waits for a single worker. A worker sees by a pipe between them when its supervisor is gone, and
ends in order then, so that a killed supervisor leaves nothing behind that nobody stops.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import Pipe, resource_tracker
from multiprocessing.connection import Connection, wait

import uvicorn
from uvicorn._subprocess import get_subprocess
from uvicorn.config import STARTUP_FAILURE

from app import metrics
from app.server.process import ECHO_SECONDS, Patience, Server
from app.server.shared_directory import SharedDirectory

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
"""Between two signs of life of a worker."""
HUNG_SECONDS = 30.0
"""A worker that is silent for so long is replaced; a busy one must not be taken for it."""
_START_SECONDS = 60.0
"""For so long a new one is not expected to give a sign of life: a slow disk has all its programs."""
MARGIN_SECONDS = 5.0
"""That workers have beyond their patience before they are killed."""
_SETTLED_SECONDS = 10.0
"""A worker that lived for so long did not die of its start."""
_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a worker is replaced, by how many in its place died of their start."""
_END_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
_SIGNALS = _END_SIGNALS | {signal.SIGHUP}


class Worker:
    """A server process, as its supervisor sees it."""

    def __init__(
        self, name: str, config: uvicorn.Config, listener: socket.socket, patience: Patience
    ) -> None:
        self.pipe, theirs = Pipe()
        self.process = get_subprocess(config, partial(_serve, config, patience, theirs), [listener])
        self.process.name = self._name = name
        # Until there is somebody to handle them, signals wait; the process inherits that.
        resource_tracker.ensure_running()  # which would let them through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._started = time.monotonic()
        self._heard = self._started + _START_SECONDS

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def age(self) -> float:
        return time.monotonic() - self._started

    def listen(self) -> None:
        """Takes the signs of life that have come."""
        with suppress(EOFError, OSError):  # it is dead, which its process tells
            while self.pipe.poll():
                self.pipe.recv_bytes()
                self._heard = time.monotonic()

    def is_silent(self) -> bool:
        return time.monotonic() - self._heard > HUNG_SECONDS

    def forget_silence(self) -> None:
        self._heard = time.monotonic()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def bury(self) -> int | None:
        """Forgets a dead one, or one that dies this moment; gives its exit status."""
        self.process.join()
        self.pipe.close()
        metrics.forget(self._name)
        status = self.process.exitcode
        self.process.close()
        return status


class Place:
    """One of the workers that there should be: who has it, or when there will be somebody."""

    def __init__(self, name: str) -> None:
        """`name`: of each worker that has it."""
        self.name = name
        self.worker: Worker | None = None
        self.due = 0.0
        self._failures = 0

    def vacate(self, lived: float = 0.0) -> float:
        """To be called when its worker has died after so many seconds, or could not be started.

        Gives the seconds until the next one.
        """
        self._failures = 0 if lived > _SETTLED_SECONDS else self._failures + 1
        pause = _PAUSES[min(max(self._failures - 1, 0), len(_PAUSES) - 1)]
        self.worker, self.due = None, time.monotonic() + pause
        return pause


class Supervisor:
    def __init__(self, config: uvicorn.Config, listener: socket.socket, patience: Patience) -> None:
        """Raises `OSError` where there is no directory for temporary files."""
        self._config = config
        self._listener = listener
        self._patience = patience
        self._places = [Place(f"worker-{number}") for number in range(config.workers)]
        self._shared = SharedDirectory()
        self._ended_at: float | None = None
        """Since when the workers are to end."""
        self._killed_at = math.inf
        self._looked_at = time.monotonic()
        self._status = 0

    def run(self) -> int:
        """Serves until a signal ends it; gives the exit status."""
        with self._shared, _signals() as numbers:
            metrics.share(str(self._shared.path))
            try:
                while self._ended_at is None or self._workers():
                    self._fill()
                    for number in self._wait(numbers):
                        self._take(number)
                    self._look_after()
            finally:
                self._kill()
                for _, worker in self._workers():
                    worker.bury()
        return self._status

    def _workers(self) -> list[tuple[Place, Worker]]:
        return [(place, place.worker) for place in self._places if place.worker]

    def _fill(self) -> None:
        for place in self._places:
            if self._ended_at is None and not place.worker and place.due <= time.monotonic():
                try:
                    place.worker = Worker(place.name, self._config, self._listener, self._patience)
                except OSError as error:  # of a machine that has no room for another process
                    pause = place.vacate()
                    logger.error(
                        "Could not start a worker (%s); the next try is in %g seconds.", error, pause
                    )

    def _wait(self, numbers: socket.socket) -> bytes:
        """Until something happens, or may have; gives the numbers of the signals that came."""
        workers = [worker for _, worker in self._workers()]
        due = [place.due - time.monotonic() for place in self._places if not place.worker]
        deaths = [worker.process.sentinel for worker in workers]
        beats = [worker.pipe for worker in workers]
        ready = wait([numbers, *deaths, *beats], max(min([BEAT_SECONDS, *due]), 0))
        return numbers.recv(256) if numbers in ready else b""

    def _take(self, number: int) -> None:
        name = signal.Signals(number).name
        if number not in _END_SIGNALS:
            for _, worker in self._workers():
                worker.signal(number)
        elif self._ended_at is None:
            logger.info("Received %s: the workers end.", name)
            self._end()
        elif time.monotonic() - self._ended_at > ECHO_SECONDS:
            logger.warning("Received %s again: the workers are killed.", name)
            self._status = 128 + number
            self._kill()

    def _end(self) -> None:
        self._ended_at = time.monotonic()
        self._killed_at = self._ended_at + self._patience.whole + MARGIN_SECONDS
        # As long as it is open anywhere, clients could connect, and wait for an answer in vain.
        self._listener.close()
        for _, worker in self._workers():
            worker.signal(signal.SIGTERM)

    def _kill(self) -> None:
        for _, worker in self._workers():
            worker.signal(signal.SIGKILL)

    def _look_after(self) -> None:
        stood_still = time.monotonic() - self._looked_at > HUNG_SECONDS / 2
        self._looked_at = time.monotonic()
        for place, worker in self._workers():
            worker.listen()
            if not worker.process.is_alive():
                self._replace(place, worker)
            elif stood_still:
                worker.forget_silence()  # the whole machine or container may have done so
            elif worker.is_silent():
                logger.error("Worker %d has given no sign of life for %g seconds.", worker.pid, HUNG_SECONDS)
                worker.forget_silence()
                worker.signal(signal.SIGKILL)
        if time.monotonic() > self._killed_at and self._workers():
            logger.error("Killing the workers that did not end in time; what they leave is swept later.")
            self._killed_at = math.inf
            self._kill()

    def _replace(self, place: Place, worker: Worker) -> None:
        pid, pause = worker.pid, place.vacate(worker.age)
        status = worker.bury()
        if self._ended_at is not None:
            return
        if status == STARTUP_FAILURE:
            logger.error("Worker %d could not start, so none would.", pid)
            self._status = 1
            self._end()
        else:
            logger.error("Worker %d died (%s); another one starts in %g seconds.", pid, _cause(status), pause)


class _WorkerServer(Server):
    def insist(self, sig: int) -> None:
        """Nothing: a terminal sends its signals to all processes, and the supervisor has the last word."""


def _serve(
    config: uvicorn.Config, patience: Patience, supervisor: Connection, sockets: list[socket.socket]
) -> None:
    """What a worker does."""
    threading.Thread(target=_beat, args=(supervisor,), daemon=True).start()
    _WorkerServer(config, patience).run(sockets)


def _beat(supervisor: Connection) -> None:
    """Tells the supervisor that this process lives, and ends it when there is no supervisor any more."""
    with suppress(OSError):
        supervisor.send_bytes(b"")
        while not supervisor.poll(BEAT_SECONDS):  # nothing comes from there but the end
            supervisor.send_bytes(b"")
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """The numbers of the signals that come, as bytes."""
    numbers, noting = socket.socketpair()
    with numbers, noting:
        noting.setblocking(False)
        signal.set_wakeup_fd(noting.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            yield numbers
        finally:
            signal.set_wakeup_fd(-1)


def _cause(status: int | None) -> str:
    if status is not None and status < 0:
        return f"by {signal.Signals(-status).name}"
    return f"exit status {status}"
