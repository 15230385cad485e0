"""A collector of traces, which speaks OTLP over HTTP as real ones do, and keeps what it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.loopback import listening
from tests.support.waiting import wait_until

SERVER = trace_pb2.Span.SPAN_KIND_SERVER
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True)
class Span:
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty where there is none."""
    is_server: bool
    is_error: bool
    attributes: dict[str, str | int | float]
    resource: dict[str, str | int | float]
    start: int
    end: int
    """In nanoseconds, as the start."""


@dataclass
class Collector:
    url: str = ""
    spans: list[Span] = field(default_factory=list)
    received: bytes = b""
    """All bodies."""
    targets: set[str] = field(default_factory=set)

    def served(self, request_id: str) -> Span:
        """The span of the request, once it has come."""

        def found() -> list[Span]:
            return [
                span for span in self.spans if span.attributes.get("artifact_proxy.request_id") == request_id
            ]

        wait_until(found, f"the span of request {request_id}")
        [span] = found()
        return span

    def below(self, span: Span) -> dict[str, Span]:
        """By name, the spans that are parts of it, which all ended before."""
        parts = [each for each in self.spans if each.parent_id == span.span_id]
        assert len({part.name for part in parts}) == len(parts)
        return {part.name: part for part in parts}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                collector.received += body
                collector.targets.add(self.path)
                collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests say what they want to know."""

    with listening(Handler) as collector.url:
        yield collector


def _spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for of_resource in request.resource_spans:
        resource = _plain(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind == SERVER,
                    span.status.code == ERROR,
                    _plain(span.attributes),
                    resource,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                )


def _plain(attributes: Iterator[KeyValue]) -> dict[str, str | int | float]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes}
