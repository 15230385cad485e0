"""The server's own log: what its lines look like, and how they get to whoever reads them.

That may be a pipe that nobody empties. So a thread writes the lines, and it alone waits. Those that
find no room in its queue are lost, counted, and told of where they are missing.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
from collections import deque
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from app import metrics, tracing

ACCESS = "app.access"
"""The name of the logger for one line for each request."""
WAITING_BYTES = 4 * 1024 * 1024
_GATHER_SECONDS = 0.01
"""For so long an access line waits for others, as to wake the thread that writes costs more than a line."""
_CLOSE_SECONDS = 1.0
_TEXT_SIZE = 4096
_TRACEBACK_SIZE = 16_384
"""In characters. The end tells most."""

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is worked on, also in the threads that work for it."""


def configuration(log_format: str) -> dict[str, Any]:
    """For `logging.config`: access lines go to the standard output, all others to the standard error.

    `log_format`: `console`, lines for people; `json`, one object a line.
    """

    def handler(log: str, stream: str, gather: float = 0) -> dict[str, Any]:
        made = {"()": QueuedHandler, "formatter": "lines"}
        return made | {"log": log, "stream": f"ext://sys.{stream}", "gather": gather}

    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": {"console": ConsoleLines, "json": JsonLines}[log_format]}},
        "handlers": {
            "server": handler("server", "stderr"),
            "access": handler("access", "stdout", _GATHER_SECONDS),
        },
        "root": {"level": "WARNING", "handlers": ["server"]},
        "loggers": {
            "app": {"level": "INFO"},
            "uvicorn": {"level": "INFO"},
            "urllib3.connectionpool": {"level": "ERROR"},  # that there are more than it keeps is no fault
            "python_multipart": {"level": "ERROR"},  # whoever sends a malformed form is told
            ACCESS: {"handlers": ["access"], "propagate": False},
        },
    }


class JsonLines(JsonFormatter):
    """Escapes everything beyond printable ASCII, so that nobody's words make lines of their own."""

    def __init__(self) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "message", "request_id"],
            rename_fields={
                "asctime": "time",
                "levelname": "level",
                "name": "logger",
                "exc_info": "exception",
                "stack_info": "stack",
            },
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _time(record)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        if log_data["request_id"] is None:
            del log_data["request_id"]
        for name, value in log_data.items():
            if isinstance(value, str):
                log_data[name] = _end(value) if name in {"exception", "stack"} else _beginning(value)
        return log_data


class ConsoleLines(logging.Formatter):
    """One line, and behind it a traceback, whose lines are indented, so that none looks like the first."""

    def format(self, record: logging.LogRecord) -> str:
        request_id = getattr(record, "request_id", None)
        asked = f" [{request_id}]" if request_id else ""
        message = _printable(_beginning(record.getMessage().rstrip("\n")))
        lines = [f"{_time(record)} {record.levelname}{asked} {message}"]
        if record.exc_info:
            lines += _end(self.formatException(record.exc_info)).split("\n")
        if record.stack_info:
            lines += _end(self.formatStack(record.stack_info)).split("\n")
        return "\n  ".join([lines[0], *map(_printable, lines[1:])])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _beginning(text: str) -> str:
    return text if len(text) <= _TEXT_SIZE else f"{text[:_TEXT_SIZE]}…"


def _end(text: str) -> str:
    return text if len(text) <= _TRACEBACK_SIZE else f"…{text[-_TRACEBACK_SIZE:]}"


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


class QueuedHandler(logging.Handler):
    """Has its lines written by a thread of its own, and never waits for it."""

    def __init__(self, stream: TextIO | None, log: str, gather: float = 0) -> None:
        """`stream`: none where the process was started without it; `log`: its name in the metrics; `gather`:
        seconds that a line waits for others, to be written with them."""
        super().__init__()
        self._gather = gather
        self.addFilter(_with_ids)
        # Not the stream itself: its lock would stop the end of the process, too.
        self._descriptor = os.dup(stream.fileno()) if stream else os.open(os.devnull, os.O_WRONLY)
        self._in_line = False
        self._lost = metrics.LOST_LINES.labels(log)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[bytes, int]] = deque()
        """Each with the number of lines that are lost with it."""
        self._size = 0
        self._missing = 0
        self._ended = False
        self._writer = threading.Thread(target=self._write_lines, name=f"{log} log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        line = self._formatted(record)
        with self._changed:
            full = self._size + len(line) > WAITING_BYTES
            # After one that is missing all are, until nothing waits any more: so they are so in one place.
            if self._ended or full or (self._missing and self._waiting):
                self._missing += 1
                self._lost.inc()
            else:
                self._put(line, 1)

    def close(self) -> None:
        """Waits until all is written, but not for ever for a reader that stands still."""
        with self._changed:
            if self._missing and not self._ended:
                self._put(b"", 0)
            self._ended = True
            self._changed.notify()
        self._writer.join(_CLOSE_SECONDS)
        super().close()

    def _put(self, line: bytes, count: int) -> None:
        if self._missing:
            told = _warning("%d lines are missing here: they could not be written.", self._missing)
            line = self._formatted(told) + line
        if not self._waiting:
            self._changed.notify()
        self._waiting.append((line, self._missing + count))
        self._size += len(line)
        self._missing = 0

    def _formatted(self, record: logging.LogRecord) -> bytes:
        try:
            text = self.format(record)
        except Exception:
            # A line, too: what `logging` does by itself waits for the standard error.
            text = self.format(
                _warning("A line of %s cannot be shown.", record.name, exc_info=sys.exc_info())
            )
        return f"{text}\n".encode(errors="backslashreplace")

    def _write_lines(self) -> None:
        while self._lines_come():
            while self._waiting:
                taken = self._take()
                unwritten = self._write(b"".join(line for line, _ in taken))
                while unwritten > 0:
                    line, count = taken.pop()
                    unwritten -= len(line)
                    with self._changed:
                        self._missing += count
                    self._lost.inc()
        os.close(self._descriptor)

    def _lines_come(self) -> bool:
        """Waits for some; False if none come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            self._changed.wait_for(lambda: self._ended, self._gather)
            return bool(self._waiting)

    def _take(self) -> list[tuple[bytes, int]]:
        """As many as a pipe takes in one piece, but at least one."""
        with self._changed:
            taken = [self._waiting.popleft()]
            size = len(taken[0][0])
            while self._waiting and size + len(self._waiting[0][0]) <= select.PIPE_BUF:
                taken.append(self._waiting.popleft())
                size += len(taken[-1][0])
            self._size -= size
        return taken

    def _write(self, lines: bytes) -> int:
        """Says how many bytes at their end could not be written."""
        rest = b"\n" * self._in_line + lines
        while rest:
            try:
                written = os.write(self._descriptor, rest)
            except BlockingIOError:  # whoever made the pipe had it so
                select.select([], [self._descriptor], [])
                continue
            except OSError:
                return min(len(rest), len(lines))
            self._in_line = not rest.endswith(b"\n", 0, written)
            rest = rest[written:]
        return 0


def _with_ids(record: logging.LogRecord) -> bool:
    record.__dict__.setdefault("request_id", REQUEST_ID.get())
    record.__dict__.update(tracing.ids())
    return True


def _warning(message: str, *arguments: object, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, arguments, exc_info)
