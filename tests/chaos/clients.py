"""Clients that write, read, list and break off, through any replica, and record what they are told."""

from __future__ import annotations

import json
import math
import random
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from urllib.parse import quote

from tests.chaos.bodies import SMALLEST, Torn, body, number_of, require_piece
from tests.chaos.ledger import Ledger, Outcome, Write
from tests.chaos.register import ABSENT, Value
from tests.chaos.replicas import Replica

ANSWER_SECONDS = 30
"""Whatever is broken, there is an answer by then."""
KIB = 1024
MIB = 1024 * KIB
_PIECE = 64 * KIB
_PAUSE_SECONDS = 0.4
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without waiting
_TRY_LATER = {502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_PAGE = 3

_numbers = count(ABSENT + 1)


class Senseless(Exception):
    """An answer that no server may give here."""


@dataclass
class Client:
    ledger: Ledger
    directory: str
    """In which all the keys of the ledger lie."""
    replicas: Sequence[Replica]
    chance: random.Random
    dies_with_server: bool
    """Whether what a server has begun is over when it is killed."""

    def work(self, over: threading.Event) -> None:
        actions: dict[Callable[[], None], int] = {
            self.replace: 28,
            self.create: 12,
            self.delete: 9,
            self.break_off: 6,
            self.read: 18,
            self.read_range: 9,
            self.examine: 6,
            self.list: 12,
        }
        while not over.is_set():
            (action,) = self.chance.choices([*actions], [*actions.values()])
            action()

    def replace(self) -> None:
        self._put(self._key(), create=False)

    def create(self) -> None:
        self._put(self._key(), create=True)

    def break_off(self) -> None:
        self._put(self._key(), create=False, break_off=True)

    def _key(self) -> str:
        return self.chance.choice(self.ledger.keys)

    def _replica(self) -> Replica:
        """Mostly one that is up, as a proxy that looks after them would choose."""
        anyone = self.chance.random() < 0.1
        return self.chance.choice([one for one in self.replicas if anyone or not one.down])

    def _put(self, key: str, *, create: bool, break_off: bool = False) -> None:
        number = next(_numbers)
        (largest,) = self.chance.choices([16 * KIB, 1 * MIB, 6 * MIB], [80, 17, 3])
        size = self.ledger.new_size(key, number, self.chance.randrange(SMALLEST, largest))
        replica = self._replica()
        data = body(number, size)
        sent = self.chance.randrange(size) if break_off else size
        slow = self.chance.random() < 0.25
        write = Write(key, number, create)
        outcome = Outcome.NONE
        try:
            with _connected(replica) as connection:
                connection.putrequest("PUT", _target(key))
                connection.putheader("Content-Length", str(size))
                if create:
                    connection.putheader("If-None-Match", "*")
                connection.endheaders()
                self._send(connection, data[:sent], slow=slow)
                if break_off:
                    _reset(connection)
                    self.ledger.counts["client resets an upload"] += 1
                else:
                    outcome = Outcome.UNKNOWN
                    outcome = self._written(connection.getresponse(), {200, 201})
        except (OSError, HTTPException) as error:
            self._require_answer(error, replica)
        self._record(write, replica, outcome)

    def _send(self, connection: HTTPConnection, data: bytes, *, slow: bool) -> None:
        pause_at = self.chance.randrange(len(data) + 1) if slow else None
        for start in range(0, len(data), _PIECE):
            if pause_at is not None and start >= pause_at - _PIECE:
                pause_at = None
                time.sleep(self.chance.uniform(0, _PAUSE_SECONDS))
            connection.send(data[start : start + _PIECE])

    def delete(self) -> None:
        replica = self._replica()
        write = Write(self._key(), ABSENT)
        outcome = Outcome.NONE
        try:
            with _connected(replica) as connection:
                outcome = Outcome.UNKNOWN
                connection.request("DELETE", _target(write.key))
                outcome = self._written(connection.getresponse(), {204})
        except (OSError, HTTPException) as error:
            self._require_answer(error, replica)
        self._record(write, replica, outcome)

    def _written(self, response: HTTPResponse, done: set[int]) -> Outcome:
        text = response.read()
        if response.status in done:
            return Outcome.ACKNOWLEDGED
        if response.status == 412:
            return Outcome.REFUSED
        if response.status not in _TRY_LATER:
            self.ledger.complain("senseless", f"{response.status} {text[:300]!r}")
        return Outcome.UNKNOWN

    def _record(self, write: Write, replica: Replica, outcome: Outcome) -> None:
        starts = replica.starts  # a process that came later has not seen the request

        def settled() -> float:
            return replica.ended(starts) if self.dies_with_server else math.inf

        self.ledger.wrote(write, replica.name, outcome, settled)

    def read(self) -> None:
        key = self._key()
        if not self.see_whole(self._replica(), key):
            self.ledger.failed("read")

    def see_whole(self, replica: Replica, key: str) -> bool:
        return self._see("read", key, replica, lambda: {key: self._whole(replica, key)})

    def _whole(self, replica: Replica, key: str) -> Value:
        """The number of the body that the key has, read to its end."""
        with _connected(replica) as connection:
            connection.request("GET", _target(key))
            response = connection.getresponse()
            data = response.read()
            if response.status == 404:
                return ABSENT
            _require(response, 200, data)
            return number_of(data)

    def read_range(self) -> None:
        key = self._key()
        first = self.chance.randrange(SMALLEST)
        last = first + self.chance.randrange(1, 64 * KIB)
        wanted = self.chance.choice([f"{first}-{last}", f"{first}-", f"-{last}"])

        replica = self._replica()

        def read() -> dict[str, Value]:
            with _connected(replica) as connection:
                connection.request("GET", _target(key), headers={"Range": f"bytes={wanted}"})
                response = connection.getresponse()
                data = response.read()
                if response.status == 404:
                    return {key: ABSENT}
                _require(response, 206, data)
                found = _CONTENT_RANGE.fullmatch(response.headers["Content-Range"])
                if not found:
                    raise Senseless(f"Content-Range: {response.headers['Content-Range']}")
                size = int(found[2])
                number = self._number(key, size)
                require_piece(data, int(found[1]), number, size)
                return {key: number}

        if not self._see("range", key, replica, read):
            self.ledger.failed("range")

    def examine(self) -> None:
        key = self._key()

        replica = self._replica()

        def examine() -> dict[str, Value]:
            with _connected(replica) as connection:
                connection.request("HEAD", _target(key))
                response = connection.getresponse()
                if response.status == 404:
                    return {key: ABSENT}
                _require(response, 200, b"")
                return {key: self._number(key, int(response.headers["Content-Length"]))}

        if not self._see("head", key, replica, examine):
            self.ledger.failed("head")

    def list(self) -> None:
        limit = self.chance.choice([_PAGE, 1000])
        if not self.see_listing(self._replica(), limit):
            self.ledger.failed("listing")

    def see_listing(self, replica: Replica, limit: int = 1000) -> bool:
        return self._see("listing", self.directory, replica, lambda: self._listed(replica, limit))

    def _listed(self, replica: Replica, limit: int) -> dict[str, Value]:
        """The numbers of the bodies of all keys, by their sizes in a listing."""
        seen = dict.fromkeys(self.ledger.keys, ABSENT)
        token = ""
        while True:
            with _connected(replica) as connection:
                query = f"recursive=true&max_results={limit}{token}"
                connection.request("GET", f"{_target(self.directory)}/?{query}")
                response = connection.getresponse()
                data = response.read()
                _require(response, 200, data)
            page = json.loads(data)
            for entry in page["entries"]:
                if entry["path"] not in seen:
                    raise Senseless(f"{entry['path']!r} is listed, which nobody has written")
                seen[entry["path"]] = self._number(entry["path"], entry["size"])
            if page["next_page_token"] is None:
                return seen
            token = f"&page_token={quote(page['next_page_token'], safe='')}"

    def _number(self, key: str, size: int) -> Value:
        number = self.ledger.number(key, size)
        if number is None:
            raise Torn(f"{key!r} has {size} bytes, as no body has")
        return number

    def _see(self, how: str, what: str, replica: Replica, look: Callable[[], dict[str, Value]]) -> bool:
        """Records what `look` finds; False if the server, or its store, could not tell."""
        invoked = time.monotonic()
        try:
            seen = look()
        except Torn as error:
            self.ledger.complain("torn", f"{how} of {what} via {replica.name}: {error}")
        except Senseless as error:
            self.ledger.complain("senseless", f"{how} of {what} via {replica.name}: {error}")
        except (OSError, HTTPException) as error:
            self._require_answer(error, replica)
            return False
        else:
            self.ledger.saw(how, replica.name, invoked, seen)
        return True

    def _require_answer(self, error: OSError | HTTPException, replica: Replica) -> None:
        if isinstance(error, TimeoutError):
            self.ledger.complain("senseless", f"no answer of {replica.name} in {ANSWER_SECONDS} s")


class _TryLater(HTTPException):
    pass


def _require(response: HTTPResponse, status: int, data: bytes) -> None:
    if response.status in _TRY_LATER:
        raise _TryLater
    if response.status != status:
        raise Senseless(f"{response.status} {data[:300]!r}")


@contextmanager
def _connected(replica: Replica) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", replica.port, timeout=ANSWER_SECONDS)
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


def _reset(connection: HTTPConnection) -> None:
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


def _target(path: str) -> str:
    return f"/v1/artifacts/{path}"
