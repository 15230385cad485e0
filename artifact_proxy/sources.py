"""What is uploaded: files of this machine, open ones, pipes, and what they are called."""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from artifact_proxy import stopping
from artifact_proxy.errors import ArtifactError
from artifact_proxy.local import reading

LocalPath: TypeAlias = str | os.PathLike[str]
_LOOK_MILLISECONDS = 500
"""So often it is looked whether the transfer shall end."""


@contextmanager
def opened(source: LocalPath | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """The open file, and what people call it. Raises `ArtifactError` for what gives no bytes."""
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        with reading(name):
            file = Path(source).open("rb")  # noqa: SIM115 - which is closed below, after other errors
        with file:
            yield file, name
        return
    name = _name(source)
    given: object = source  # whatever its type should be
    if isinstance(given, io.TextIOBase):
        raise ArtifactError(f"{name!r} cannot be read: it is open for text; open it with 'rb'.")
    if getattr(source, "closed", False):
        raise ArtifactError(f"{name!r} cannot be read: it is closed.")
    yield source, name


def _name(file: Any) -> str:
    name = getattr(file, "name", None)
    if isinstance(name, str):
        return name
    return "the standard input" if name == 0 else "the open file"


def is_repeatable(file: BinaryIO) -> bool:
    """Whether it can be read twice, and has a size. What a kernel makes up as it is read has none."""
    try:
        if not file.seekable() or not _is_regular(file):
            return False
        start = file.tell()
        size = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        is_made_up = not size and bool(file.read(1))
        file.seek(start)
    except OSError:
        return False
    return not is_made_up


def _is_regular(file: BinaryIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):
        return True  # it is in memory


def await_bytes(file: BinaryIO) -> None:
    """Returns when there is something to read, or the end. Raises `Interrupted` if the transfer shall end."""
    waiting = select.poll()
    waiting.register(file, select.POLLIN)
    while not waiting.poll(_LOOK_MILLISECONDS):
        stopping.check()
