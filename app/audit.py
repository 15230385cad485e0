"""The audit log: one line of JSON for each decision and change, apart from all other logs."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import stat
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

from app import metrics

logger = logging.getLogger(__name__)

STANDARD_OUTPUT = "-"
WAITING_LINES = 10_000
"""More are lost while the disk stands still: memory is not to grow with it."""
_COMPLAINT_SECONDS = 60
_CLOSE_SECONDS = 5
_OWNER_AND_GROUP = 0o640
_TOO_FAST = "they come faster than they can be written"
_LOST = metrics.LOST_LINES.labels("audit")


def opened(target: str) -> AbstractContextManager[object]:
    """Tries the target of an `AuditLog` out, and has it open where that is a pipe. Raises `OSError`.

    A file that was moved away and removed would keep its place on the disk for as long as it is open.
    """
    if not target:
        return nullcontext()
    file = _File(target)
    if file.is_pipe():
        return closing(file)
    file.close()
    return nullcontext()


class AuditLog:
    """Written by a thread of its own, so that nobody waits for its disk. What is lost is counted there."""

    def __init__(self, target: str) -> None:
        """`target`: a file, `-` for the standard output, empty for none. Raises `OSError`."""
        self.enabled = bool(target)
        self._lost = _Losses()
        self._lines: Queue[str | None] = Queue(WAITING_LINES)
        self._writer: threading.Thread | None = None
        if self.enabled:
            self._writer = threading.Thread(
                target=self._write_lines, args=(_File(target),), name="audit", daemon=True
            )
            self._writer.start()

    def write(self, record: Mapping[str, Any], started: float | None = None) -> None:
        """Adds a line; `started`, by the monotonic clock, tells how long it took.

        Everything beyond printable ASCII is escaped, so that nobody's words make lines of their own.
        """
        if self.enabled:
            seconds = {} if started is None else {"seconds": round(time.monotonic() - started, 3)}
            try:
                self._lines.put_nowait(_line({**record, **seconds}))
            except Full:
                self._lost.add(1, _TOO_FAST)

    def close(self) -> None:
        """Waits until all is written, but not for ever for a reader that stands still."""
        self.enabled = False
        if self._writer is not None:
            try:
                self._lines.put(None, timeout=_CLOSE_SECONDS)
            except Full:
                with suppress(Empty):
                    self._lines.get_nowait()
                    self._lost.add(1, _TOO_FAST)
                self._lines.put_nowait(None)
            self._writer.join(_CLOSE_SECONDS)
            if self._writer.is_alive():
                logger.error("The audit log loses its last lines: they cannot be written in time.")
            self._writer = None

    def _write_lines(self, file: _File) -> None:
        while (line := self._lines.get()) is not None:
            self._tell_losses(file)
            self._write_line(file, line)
        self._tell_losses(file)
        file.close()

    def _tell_losses(self, file: _File) -> None:
        lines = self._lost.take()
        if lines:
            self._write_line(file, _line({"event": "lost", "lines": lines}), tells_of=lines)

    def _write_line(self, file: _File, line: str, *, tells_of: int = 0) -> None:
        """`tells_of`: how many lines were lost before, where that is what it says."""
        try:
            file.write(line.encode("ascii"))
        except OSError as error:
            why = f"they cannot be written ({error.strerror})"
            self._lost.add(tells_of or 1, why, known=tells_of > 0)


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **record})


class _Losses:
    """Counts the lines that are lost, and has the server's log tell of it now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines = 0
        self._told = -math.inf

    def add(self, lines: int, why: str, *, known: bool = False) -> None:
        """`known`: that they are lost was counted before, and could not be told."""
        if not known:
            _LOST.inc(lines)
        with self._lock:
            self._lines += lines
            now = time.monotonic()
            tells = now - self._told >= _COMPLAINT_SECONDS
            self._told = now if tells else self._told
        if tells:
            logger.error("The audit log loses lines: %s.", why)

    def take(self) -> int:
        """How many there were since the last time."""
        with self._lock:
            lines, self._lines = self._lines, 0
        return lines


class _File:
    """The end of a file, which is opened again when somebody has moved it away."""

    def __init__(self, target: str) -> None:
        """`target`: a path, or `STANDARD_OUTPUT`. Raises `OSError`, as the methods do."""
        self._path = None if target == STANDARD_OUTPUT else target
        self._descriptor = self._open()
        self._in_line = self._ends_in_line()

    def write(self, line: bytes) -> None:
        """Adds the line in one piece, or begins a new one behind what a full disk left of the last."""
        if self._is_moved():
            moved, self._descriptor = self._descriptor, self._open()
            self._in_line = self._ends_in_line()
            os.close(moved)
        rest = b"\n" * self._in_line + line + b"\n"
        while rest:
            written = os.write(self._descriptor, rest)
            self._in_line = written < len(rest)
            rest = rest[written:]

    def is_pipe(self) -> bool:
        return stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)

    def close(self) -> None:
        os.close(self._descriptor)

    def _open(self) -> int:
        if self._path is None:
            if sys.stdout is None:
                raise OSError(errno.EBADF, "it is closed")
            return os.dup(sys.stdout.fileno())
        # Else one that opens a pipe would wait for a reader.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, _OWNER_AND_GROUP)
        os.set_blocking(descriptor, True)
        return descriptor

    def _ends_in_line(self) -> bool:
        """Whether a full disk left a line unfinished before this server wrote to it."""
        if self._path is None or not Path(self._path).is_file():
            return False
        with suppress(OSError), open(self._path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        return False

    def _is_moved(self) -> bool:
        if self._path is None:
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return True
