"""Servers that are no artifact-proxy, or answer as if they were none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias

from tests.support.loopback import listening


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Respond: TypeAlias = Callable[[str, str], Answer]
"""Takes the method and the target of a request."""


@contextmanager
def answering(respond: Respond | Answer) -> Iterator[str]:
    """Gives the URL at which this is answered."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = respond if isinstance(respond, Answer) else respond(self.command, self.path)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            if told.status != 204:
                self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)

        do_GET = do_HEAD = do_PUT = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with listening(Handler) as url:
        yield url
