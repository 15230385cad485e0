"""A server that only notes what it is asked, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.loopback import listening


@dataclass(frozen=True)
class Asked:
    line: str
    """The request line."""
    headers: list[tuple[str, str]]
    connection: int
    """The same for all requests that came over it."""

    def values(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


@dataclass
class Recorder:
    url: str
    asked: list[Asked] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    """The connections that are."""


@contextmanager
def recording(*, answering: bool = True) -> Iterator[Recorder]:
    """A recorder on a free port, which answers with 204, or else closes the connection without an answer.

    It reads no bodies.
    """
    recorder = Recorder("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            recorder.open.add(self.client_address[1])

        def handle_one_request(self) -> None:
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(65537)
            if self.raw_requestline and self.parse_request():
                recorder.asked.append(Asked(self.requestline, self.headers.items(), self.client_address[1]))
                if answering:
                    self.send_response_only(204)
                    self.end_headers()
                else:
                    self.close_connection = True

        def finish(self) -> None:
            super().finish()
            recorder.open.discard(self.client_address[1])

    with listening(Handler) as recorder.url:
        yield recorder
