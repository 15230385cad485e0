"""A proxy between an S3 client and a store, which records requests and breaks what a test wants broken.

It forwards requests as they are, with the `Host` that the client has signed; it only answers
`Expect: 100-continue` itself. A connection to the store serves one request.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.interposer_actions import Action, forward
from tests.support.interposer_exchange import ClientGone, Exchange, Request
from tests.support.wire import Wire, read_headers

STOP_SECONDS = 10


@dataclass
class Rule:
    matches: Callable[[Request], bool]
    action: Action
    times: int | None
    used: int = 0


@dataclass
class Interposer:
    upstream: str
    tls: ssl.SSLContext | None = None
    closed: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    """How many clients have opened."""

    def __post_init__(self) -> None:
        self._lock = threading.RLock()  # a rule may look at the requests
        self._requests: list[Request] = []
        self._rules: list[Rule] = []
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def requests(self, operation: str | None = None) -> list[Request]:
        """All requests until now, in the order in which they have come."""
        with self._lock:
            return [one for one in self._requests if operation in {None, one.operation}]

    def operations(self) -> list[str]:
        return [one.operation for one in self.requests()]

    def clear(self) -> None:
        """Forgets the requests until now; rules stay."""
        with self._lock:
            self._requests.clear()

    def on(
        self, operation: str | Callable[[Request], bool], action: Action, *, times: int | None = 1
    ) -> Rule:
        """The action for the next requests, or for all with `times=None`; the earliest rule goes first."""
        matches = operation if callable(operation) else lambda request: request.operation == operation
        rule = Rule(matches, action, times)
        with self._lock:
            self._rules.append(rule)
        return rule

    def forget_rules(self) -> None:
        """Lets all requests pass that come from now on."""
        with self._lock:
            self._rules.clear()

    def unused(self) -> list[Rule]:
        """The rules that have not been used as many times as they were meant to be."""
        with self._lock:
            return [rule for rule in self._rules if rule.used < (rule.times or 1)]

    def start(self) -> None:
        self._start_thread(self._accept)

    def close(self) -> None:
        """Ends all connections and waits for their threads."""
        self.closed.set()
        with suppress(OSError):
            socket.create_connection(self._listener.getsockname(), timeout=1).close()  # which wakes it
        with self._lock:
            for opened in self._sockets:
                _shut(opened)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        self._listener.close()
        assert not any(thread.is_alive() for thread in self._threads), "a connection did not end"

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A new connection to the store."""
        parts = urlsplit(self.upstream)
        assert parts.hostname
        opened = socket.create_connection(
            (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        )
        if parts.scheme == "https":
            trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
            opened = trust.wrap_socket(opened, server_hostname=parts.hostname)
        with self._registered(opened):
            yield opened

    def _start_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="interposer")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            accepted, _ = self._listener.accept()
            if self.closed.is_set():
                accepted.close()
                return
            self.connections += 1
            self._start_thread(self._converse, accepted)

    @contextmanager
    def _registered(self, opened: socket.socket) -> Iterator[None]:
        """Whatever waits on the socket ends when the interposer is closed."""
        with opened:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(opened)
                if self.closed.is_set():
                    _shut(opened)
            try:
                yield
            finally:
                with self._lock:
                    self._sockets.discard(opened)

    def _converse(self, accepted: socket.socket) -> None:
        if self.tls:
            try:
                accepted = self.tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            except OSError:  # the client is gone already
                accepted.close()
                return
        with self._registered(accepted):
            client = Wire(accepted)
            try:
                if isinstance(accepted, ssl.SSLSocket):
                    accepted.do_handshake()
                while (head := client.head()) and self._serve(client, head):
                    pass
                client.finish()
            except (ClientGone, OSError):  # or the store is
                client.reset()

    def _serve(self, client: Wire, head: bytes) -> bool:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        request = Request(method, target, read_headers(head))
        with Exchange(self, client, request, head) as exchange:
            self._take_action(request)(exchange)
            return exchange.goes_on

    def _take_action(self, request: Request) -> Action:
        with self._lock:
            self._requests.append(request)
            for rule in self._rules:
                if (rule.times is None or rule.used < rule.times) and rule.matches(request):
                    rule.used += 1
                    return rule.action
        return forward


@contextmanager
def interposing(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[Interposer]:
    """An interposer before the store at the URL `upstream`, itself with TLS if there is a context."""
    interposer = Interposer(upstream, tls)
    interposer.start()
    try:
        yield interposer
    finally:
        interposer.close()


def _shut(opened: socket.socket) -> None:
    """Wakes whoever waits on the socket; with TLS too, where the socket's own method is not for that."""
    with suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)
