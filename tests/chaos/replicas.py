"""Servers over one root that die, end, pause and come back, each at its own address for good."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from tests.support.server import start
from tests.support.waiting import comes_true, wait_until

START_SECONDS = 60
"""Whatever has happened to a server or its workers, it serves again by then."""
END_SECONDS = 60
"""A server that was told to end is gone by then."""


@dataclass
class Replica:
    name: str
    root: str
    arguments: Sequence[str]
    port: int
    environment: Mapping[str, str]
    log_file: Path
    workers: int = 1
    starts: int = 0
    """How many processes there were, the running one included."""
    down: bool = True
    """Nobody can expect an answer."""
    busy: threading.Lock = field(default_factory=threading.Lock)
    """Held by whoever does something to it."""
    _ends: dict[int, float] = field(default_factory=dict)

    def start(self) -> None:
        """Does not wait until it serves."""
        self.starts += 1
        options = ("--port", str(self.port), "--workers", str(self.workers), *self.arguments)
        with self.log_file.open("ab") as log:
            self.process: subprocess.Popen[bytes] = start(
                self.root, *options, log=log, environment=self.environment
            )

    def _serves(self) -> bool:
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=1)) as connection:
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
            except (OSError, HTTPException):
                return False

    def await_ready(self) -> bool:
        """Whether it comes to serve by itself, with all its workers."""

        def is_over() -> bool:
            return self.process.poll() is not None or self.is_complete()

        ready = comes_true(is_over, START_SECONDS) and self.process.poll() is None
        self.down = not ready
        return ready

    def is_complete(self) -> bool:
        """Whether it answers, and has all its workers."""
        return self._serves() and len(self.serving()) == self.workers

    def log(self) -> str:
        """The end of it."""
        return self.log_file.read_text()[-3000:]

    def delete(self, directory: str) -> None:
        """All that is in it."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=END_SECONDS)) as connection:
            connection.request("DELETE", f"/v1/artifacts/{directory}")
            response = connection.getresponse()
            assert response.status == 204, response.read()

    def kill(self) -> None:
        """And starts it again."""
        if self.process.poll() is None:
            server = psutil.Process(self.process.pid)
            server.suspend()  # or it would replace the workers
            wait_until(lambda: server.status() == psutil.STATUS_STOPPED, f"{self.name} has stopped")
            for process in [*server.children(), server]:
                process.kill()
        self._start_again()

    def end(self) -> bool:
        """As an operator does, and starts it again; False if it had to be killed."""
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        self._start_again()
        return True

    def _start_again(self) -> None:
        self.process.wait()
        self._ends[self.starts] = time.monotonic()
        self.down = True
        self.start()

    def kill_worker(self, chance: random.Random) -> None:
        """Its supervisor starts another one."""
        chance.choice(self.serving()).kill()

    def pause(self, seconds: float) -> None:
        """Those of its processes that serve."""
        processes = self.serving()
        for process in processes:
            process.suspend()
        time.sleep(seconds)
        for process in processes:
            process.resume()

    def serving(self) -> list[psutil.Process]:
        """The processes that take requests: workers where there are some, or the server itself."""
        server = psutil.Process(self.process.pid)
        return [server] if self.workers == 1 else [one for one in server.children() if _is_worker(one)]

    def ended(self, starts: int) -> float:
        """When the process with that number was gone; infinity if it is there."""
        return self._ends.get(starts, math.inf)

    def stop(self) -> None:
        """For good."""
        for process in self.serving():
            process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.NoSuchProcess:
        return False  # it was killed before


@contextmanager
def stopping(replica: Replica) -> Iterator[None]:
    """Starts it, and in the end stops it for good."""
    replica.start()
    try:
        yield
    finally:
        if replica.process.poll() is None:
            replica.stop()


@dataclass(frozen=True)
class Held:
    """What an idle process holds."""

    descriptors: int
    """Without those to the store, of which it keeps some for the next requests."""
    threads: int

    @classmethod
    def by(cls, pid: int, store_port: int | None) -> Held:
        process = psutil.Process(pid)
        kept = [one for one in process.net_connections() if one.raddr and one.raddr.port == store_port]
        return cls(len(os.listdir(f"/proc/{pid}/fd")) - len(kept), process.num_threads())
