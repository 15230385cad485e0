"""What there is of a download until it is whole: a file beside its target, kept for a later run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from artifact_proxy import stopping
from artifact_proxy.errors import ArtifactError
from artifact_proxy.local import reason, writing

_NAME = re.compile(r"\.(.+)\.[0-9a-f]{16}\.part", re.DOTALL)
_LONGEST_NAME = 230
"""With what is put around it, it is no longer than a file system takes."""
_READ_BYTES = 1024 * 1024


def part_of(target: Path, etag: str) -> Path:
    """Where the part of that version is kept until it is whole."""
    version = hashlib.sha256(etag.encode("utf-8", "replace")).hexdigest()[:16]
    return target.with_name(f".{_kept_name(target)}.{version}.part")


def _kept_name(target: Path) -> str:
    name = os.fsencode(target.name)
    return target.name if len(name) <= _LONGEST_NAME else hashlib.sha256(name).hexdigest()


class Leftovers:
    """The parts that earlier runs have left; each directory is looked at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: dict[Path, dict[str, list[Path]]] = {}

    def of(self, target: Path) -> list[Path]:
        """Raises `ArtifactError` where the directory cannot be read."""
        with self._lock, writing(target):
            if target.parent not in self._found:
                self._found[target.parent] = _parts_in(target.parent)
            return self._found[target.parent].pop(_kept_name(target), [])


def _parts_in(directory: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named and entry.is_file(follow_symlinks=False):
                found[named[1]].append(Path(entry.path))
    return found


class Part:
    """One of them, to which nobody else writes. Raises `ArtifactError` for what the disk refuses."""

    def __init__(self, place: Path, target: Path) -> None:
        self._target = target
        self._place = place
        self._file = self._open()
        self.size = os.fstat(self._file).st_size

    def _open(self) -> int:
        while True:
            try:
                file = os.open(self._place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
            except (OSError, ValueError) as error:
                raise self._failed(error) from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with suppress(FileNotFoundError):
                    if os.path.samestat(os.fstat(file), os.stat(self._place, follow_symlinks=False)):
                        return file
            except BlockingIOError:
                os.close(file)
                raise ArtifactError(f"{str(self._target)!r} is being downloaded already.") from None
            except OSError:
                return file  # a file system without locks
            os.close(file)  # whoever had it before has just finished it

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(self._file, view, self.size)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise self._failed(error) from None

    def truncate(self) -> None:
        try:
            os.ftruncate(self._file, 0)
        except OSError as error:
            raise self._failed(error) from None
        self.size = 0

    def sha256(self) -> bytes:
        """Of all that is there, read again from the disk."""
        digest, position = hashlib.sha256(), 0
        try:
            while piece := os.pread(self._file, _READ_BYTES, position):
                stopping.check()
                digest.update(piece)
                position += len(piece)
        except OSError as error:
            raise self._failed(error) from None
        return digest.digest()

    def become_target(self) -> None:
        try:
            os.replace(self._place, self._target)
        except OSError as error:
            raise self._failed(error) from None

    def remove(self) -> None:
        with writing(self._place), suppress(FileNotFoundError):
            os.unlink(self._place)
        self.size = 0

    def _failed(self, error: OSError | ValueError) -> ArtifactError:
        return ArtifactError(f"{str(self._target)!r} cannot be written: {reason(error)}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self.size:
            self.remove()  # nothing to go on with
        os.close(self._file)
