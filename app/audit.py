"""The audit log: one line of JSON for each decision and change, apart from all other logs."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from queue import SimpleQueue
from typing import Any

STANDARD_OUTPUT = "-"
_OWNER_AND_GROUP = 0o640


class AuditLog:
    """Written by a thread of its own, so that nobody waits for its disk."""

    def __init__(self, target: str) -> None:
        """`target`: a file, `-` for the standard output, empty for none. Raises `OSError`."""
        self.enabled = bool(target)
        self._logger = logging.Logger("audit")
        self._listener: QueueListener | None = None
        if self.enabled:
            queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
            self._logger.addHandler(QueueHandler(queue))
            self._listener = QueueListener(queue, _handler(target))
            self._listener.start()

    def write(self, record: Mapping[str, Any], started: float | None = None) -> None:
        """Adds a line; `started`, by the monotonic clock, tells how long it took.

        Everything beyond printable ASCII is escaped, so that nobody's words make lines of their own.
        """
        if self.enabled:
            line: dict[str, Any] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **record}
            if started is not None:
                line["seconds"] = round(time.monotonic() - started, 3)
            self._logger.info("%s", json.dumps(line))

    def close(self) -> None:
        """Waits until all is written."""
        if self._listener is not None:
            self._listener.stop()
            for handler in self._listener.handlers:
                handler.close()
            self._listener = None
            self.enabled = False


def _handler(target: str) -> logging.Handler:
    if target == STANDARD_OUTPUT:
        return logging.StreamHandler(sys.stdout)
    return _WatchedFile(target, encoding="utf-8")


class _WatchedFile(WatchedFileHandler):
    """Opened again when somebody has moved it away."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _OWNER_AND_GROUP)
        return os.fdopen(descriptor, "a", encoding=self.encoding)
