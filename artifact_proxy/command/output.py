"""What the commands write: results to the standard output, all else to the standard error."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from contextlib import nullcontext, suppress
from typing import Any

_OUTPUT, _ERROR = 1, 2


class Closed(Exception):
    """Nobody reads the standard output any more."""


_stream = io.BufferedWriter(io.FileIO(_OUTPUT, "wb", closefd=False), 64 * 1024)


def write(data: bytes) -> None:
    try:
        _stream.write(data)
    except OSError as error:
        _give_up(error)


def flush() -> None:
    try:
        _stream.flush()
    except OSError as error:
        _give_up(error)


def line(text: str) -> None:
    write(shown(text).encode("utf-8", "backslashreplace") + b"\n")


def json_line(value: Any, *, at_once: bool = False) -> None:
    """`at_once`: of something that is done, and is not to be forgotten if the rest comes to nothing."""
    write(json.dumps(value).encode() + b"\n")
    if at_once:
        flush()


def tell(text: str) -> None:
    """Says a sentence on the standard error, between the progress bars if there are some."""
    said = f"artifact-proxy: {shown(text)}\n".encode("utf-8", "backslashreplace")
    bars = sys.modules.get("tqdm")
    between = nullcontext() if bars is None else bars.tqdm.external_write_mode(file=sys.stderr)
    with between, suppress(OSError):  # which could be said nowhere else
        os.write(_ERROR, said)


def shown(text: str) -> str:
    """Without what a terminal would obey, or not show: names and messages come from anybody."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class Telling(logging.Handler):
    """Says the library's warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


def _give_up(error: OSError) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), _OUTPUT)  # or else the rest would be tried again at the end
    if isinstance(error, BrokenPipeError):
        raise Closed from None
    tell(f"The standard output cannot be written: {error.strerror}.")
    raise SystemExit(1) from None
