"""Traces for OpenTelemetry, where its standard variables ask for them; else nothing of it is imported.

There is a span for each request, and one for each thing that is done to the storage for it. They are
exported by a thread of the library; what a collector does not take in time is lost, and nothing waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from app import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Span as LibrarySpan
    from opentelemetry.trace import Tracer

logger = logging.getLogger(__name__)

SERVICE_NAME = "artifact-proxy"
FLUSH_SECONDS = 3.0
"""For so long the end of the process waits for the last spans to be exported."""
_QUIET_SECONDS = 600.0
"""For so long the library does not repeat itself in the log."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER = "OTEL_TRACES_EXPORTER"
_AT_IMPORT = ("OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT")
"""What the library judges when it is imported."""

Attributes: TypeAlias = Mapping[str, str | int | float]

_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)
"""Of the request that is worked on, also in the threads that work for it."""


class RefusedTracing(ValueError):
    """The variables ask for what cannot be had: what they say, why not, and the remedy."""


class Span:
    """A piece of work, which is told of once it has ended."""

    __slots__ = ("_span", "_tracer", "ids")

    def __init__(self, span: LibrarySpan, tracer: Tracer) -> None:
        self._span = span
        self._tracer = tracer
        context = span.get_span_context()
        self.ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        """As log records have them."""

    def begin(self, name: str) -> Span | None:
        """A span for a part of the work; None where none of it is told."""
        from opentelemetry.trace import set_span_in_context

        if not self._span.is_recording():
            return None
        return Span(self._tracer.start_span(name, set_span_in_context(self._span)), self._tracer)

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def end(self, attributes: Attributes, *, error: str | None = None) -> None:
        """`error`: what went wrong, in one word."""
        from opentelemetry.trace import StatusCode

        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def begin(name: str) -> Span | None:
    """A span for a part of the work on the current request; None where that has none."""
    current = _CURRENT.get()
    return None if current is None else current.begin(name)


def ids() -> Mapping[str, str]:
    """What leads from a log record to the current request's span."""
    current = _CURRENT.get()
    return {} if current is None else current.ids


class Tracing:
    """What makes the spans of this process, and gets them out of it."""

    def __init__(self, exporters: Sequence[str]) -> None:
        from opentelemetry import propagate
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

        makers: dict[str, type[SpanExporter]] = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
        own = Resource.create({"service.name": SERVICE_NAME, "service.version": __version__})
        # By itself the library has our name outdo that of the variables.
        resource = own.merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in exporters:
            self._provider.add_span_processor(BatchSpanProcessor(makers[name]()))
        self._tracer = self._provider.get_tracer(SERVICE_NAME, __version__)
        self._propagator = propagate.get_global_textmap()

    @contextmanager
    def serving(self, name: str, headers: Mapping[str, str], attributes: Attributes) -> Iterator[Span]:
        """The span of a request, current within the block; whoever gets it ends it.

        It goes on with the trace that the headers, by their lower-case names, tell of.
        """
        from opentelemetry.trace import SpanKind

        context = self._propagator.extract(headers)
        started = self._tracer.start_span(name, context, SpanKind.SERVER, attributes)
        span = Span(started, self._tracer)
        token = _CURRENT.set(span)
        try:
            yield span
        finally:
            _CURRENT.reset(token)

    def close(self) -> None:
        """Exports what is left, within a bounded time: a collector may be silent."""
        ending = threading.Thread(target=self._provider.shutdown, name="tracing-end", daemon=True)
        ending.start()
        ending.join(FLUSH_SECONDS)
        if ending.is_alive():
            logger.warning("The last spans could not be exported within %g seconds.", FLUSH_SECONDS)


def judge() -> None:
    """Raises `RefusedTracing` where `opened` would."""
    if tracing := opened():
        tracing.close()


def judge_import() -> None:
    """Raises `RefusedTracing` where the framework could not import the library's interface."""
    try:
        with suppress(ImportError), _strict():
            from opentelemetry import propagate  # noqa: F401 - whether it can be imported is the question
    except ValueError as error:
        said = " and ".join(f"{name}={os.environ[name]!r}" for name in _AT_IMPORT if name in os.environ)
        raise RefusedTracing(f"{said} cannot be used: {_first_sentence(error)}; correct it") from None


def opened() -> Tracing | None:
    """As the variables of this process want it; None where they want none. Raises `RefusedTracing`."""
    names = _wanted()
    if not names:
        return None
    if "otlp" in names:
        _judge_otlp()
    asked = f"{_said(_EXPORTER, *_ENDPOINTS)} asks for traces"
    try:
        with _strict():
            tracing = Tracing(names)
    except ImportError as error:
        raise RefusedTracing(
            f"{asked}, and {error.name} is not installed: install artifact-proxy[otel], or unset it"
        ) from None
    except (RuntimeError, ValueError) as error:
        raise RefusedTracing(
            f"{asked}, and OpenTelemetry refuses a variable of its own ({_first_sentence(error)}); correct it"
        ) from None
    _quieten()
    return tracing


def _wanted() -> list[str]:
    """The names of the exporters."""
    if _value("OTEL_SDK_DISABLED").lower() == "true":
        return []
    given = _value(_EXPORTER) or ("otlp" if any(map(_value, _ENDPOINTS)) else "none")
    names = [name for name in (part.strip().lower() for part in given.split(",")) if name]
    for name in names:
        if name not in {"otlp", "console", "none"}:
            raise RefusedTracing(
                f"{_EXPORTER}={given!r} cannot be used: there is no exporter {name!r} here; name otlp, "
                "console or none"
            )
    return [name for name in dict.fromkeys(names) if name != "none"]


def _judge_otlp() -> None:
    if (protocol := next(filter(None, map(_value, _PROTOCOLS)), "http/protobuf")) != "http/protobuf":
        raise RefusedTracing(
            f"{_said(*_PROTOCOLS)} cannot be used: {protocol!r} is not spoken here; set it to http/protobuf, "
            "and name the collector's port for that, mostly 4318"
        )
    if endpoint := next(filter(None, map(_value, _ENDPOINTS)), ""):
        try:
            parts = urlsplit(endpoint)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise RefusedTracing(
                f"{_said(*_ENDPOINTS)} cannot be used: it is no URL; write it like http://collector:4318"
            )


def _value(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _said(*variables: str) -> str:
    """The first of the variables that says something, with what it says."""
    return next(f"{variable}={_value(variable)!r}" for variable in variables if _value(variable))


def _first_sentence(error: Exception) -> str:
    return str(error).partition(". ")[0].rstrip(".")


@contextmanager
def _strict() -> Iterator[None]:
    """Within it a mistake that the library would tell in the log, and get over, is an error."""
    library = logging.getLogger("opentelemetry")
    before, library.handlers = library.handlers, [_Raising(logging.ERROR)]
    try:
        yield
    finally:
        library.handlers = before


class _Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


def _quieten() -> None:
    """The library tells at each attempt that its collector is away, which may be for days."""
    library = logging.getLogger("opentelemetry")
    library.handlers = [_Sparing()]
    library.propagate = False


class _Sparing(logging.Handler):
    """Passes the library's records on to our log, those of one kind once in a while."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: dict[tuple[str, str], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind = (record.name, str(record.msg))
        now = time.monotonic()
        if now - self._told.get(kind, -_QUIET_SECONDS) >= _QUIET_SECONDS:
            self._told[kind] = now
            logger.handle(record)
