"""What is told of the calls of a storage: how many there are, what came of them, and how long they took.

What a call takes is told by its operation and its outcome: `ok`, or the name of the error, which
may be the caller's affair, as that there is no such artifact.

A call for a request that is traced is a span of it. Chunks are too many for that: those of a transfer
are one span together, from its opening to its end, which tells how much of that was the storage's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from app import metrics, tracing
from app.errors import ArtifactError, StorageError
from app.storage.base import Chunk

if TYPE_CHECKING:
    from prometheus_client import Histogram

T = TypeVar("T")

_INNER_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class observed:
    """Around each call. No `contextmanager`, as a generator would double what this costs per chunk."""

    __slots__ = ("_operation", "_span", "_started", "_traced")

    def __init__(self, operation: str, *, traced: bool = True) -> None:
        """`traced`: whether it is a span of its own."""
        self._operation = operation
        self._traced = traced

    def __enter__(self) -> None:
        self._span = tracing.begin(f"storage.{self._operation}") if self._traced else None
        self._started = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _observe(self._operation, kind, perf_counter() - self._started)
        if self._span is not None:
            _end(self._span, kind)


class Chunks:
    """All chunks of one transfer, or of a batch of them: each is measured, and all are one span."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._span = tracing.begin(f"storage.{operation}s")
        self._bytes = 0
        self._seconds = 0.0
        self._kind: type[BaseException] | None = None

    def __enter__(self) -> None:
        self._started = perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        seconds = perf_counter() - self._started
        self._seconds += seconds
        if kind is not StopIteration:
            _observe(self._operation, kind, seconds)
            self._kind = self._kind or kind

    def count(self, *pieces: Chunk) -> None:
        self._bytes += sum(map(len, pieces))

    def end(self) -> None:
        """No chunk comes any more; may be called again."""
        if self._span is not None:
            _end(self._span, self._kind, bytes=self._bytes, seconds=self._seconds)
            self._span = None


def stepwise(operation: str, steps: Iterator[T]) -> Iterator[T]:
    """The steps of one call, which took what all of them took together, however long it was between two."""
    span = tracing.begin(f"storage.{operation}")
    seconds = 0.0
    kind: type[BaseException] | None = None
    try:
        while True:
            started = perf_counter()
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                seconds += perf_counter() - started
            yield step
    except BaseException as error:
        kind = type(error)
        raise
    finally:
        _observe(operation, kind, seconds)
        if span is not None:
            _end(span, kind, seconds=seconds)


def _observe(operation: str, kind: type[BaseException] | None, seconds: float) -> None:
    meter = _meter(operation, kind)  # type: ignore[arg-type]  # a class can be hashed
    meter.observe(seconds)


def _end(span: tracing.Span, kind: type[BaseException] | None, **told: float) -> None:
    """Only the storage's own failures are errors: that an artifact is missing is an answer."""
    outcome = _outcome(kind)
    failed = outcome == "defect" or (kind is not None and issubclass(kind, StorageError))
    known: dict[str, str | float] = {"outcome": outcome, **told}
    attributes = {f"artifact_proxy.storage.{name}": value for name, value in known.items()}
    span.end(attributes, error=outcome if failed else None)


@cache
def _meter(operation: str, kind: type[BaseException] | None) -> Histogram:
    return metrics.STORAGE_CALLS.labels(operation, _outcome(kind))


def _outcome(kind: type[BaseException] | None) -> str:
    if kind is None or kind is GeneratorExit:  # the latter where nobody wants the rest of a listing
        return "ok"
    return _INNER_CAPITAL.sub("_", kind.__name__).lower() if issubclass(kind, ArtifactError) else "defect"
