"""Downloads to files: whole or not at all, gone on with later, and compared with the server's digest then."""

from __future__ import annotations

import logging
from pathlib import Path

from artifact_proxy.connection import Connection, require_name
from artifact_proxy.contents import Content
from artifact_proxy.entries import Entry
from artifact_proxy.errors import ArtifactError, Conflict, DigestMismatch
from artifact_proxy.local import reason, writing
from artifact_proxy.parts import Leftovers, Part, part_of
from artifact_proxy.progress import Progress, unseen

logger = logging.getLogger(__name__)


def fetch(
    connection: Connection,
    path: str,
    target: Path,
    *,
    verify: bool | None = None,
    leftovers: Leftovers,
    progress: Progress = unseen,
) -> Entry:
    """Makes the artifact the file `target`, which is replaced in one moment if it is there.

    `verify`: whether to compare with the server's digest; None for what did not come in one piece.
    """
    require_name(path)
    with writing(target):
        is_taken = target.is_symlink() or (target.exists() and not target.is_file())
    if is_taken:
        raise ArtifactError(f"{str(target)!r} is there, and is no plain file that could be replaced.")
    try:
        return _Fetch(connection, path, target, verify, leftovers, progress).run()
    except (DigestMismatch, Conflict):
        # Whatever was wrong with the part, it is gone; from the beginning, once.
        return _Fetch(connection, path, target, verify, leftovers, progress).run()


class _Fetch:
    def __init__(
        self,
        connection: Connection,
        path: str,
        target: Path,
        verify: bool | None,
        leftovers: Leftovers,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._path = path
        self._target = target
        self._verify = verify
        self._leftovers = leftovers
        self._progress = progress

    def run(self) -> Entry:
        found = self._leftovers.of(self._target)
        if found:
            entry = self._connection.examine(self._path)
            part = self._part_of(entry)
            for other in found:
                if other != part:
                    _forget(other)
            if part in found and entry.size is not None:
                with Part(part, self._target) as kept:
                    return self._gone_on_with(kept, entry, entry.size)
        with Content(self._connection, self._path) as content:
            return self._from_the_beginning(content)

    def _from_the_beginning(self, content: Content) -> Entry:
        with Part(self._part_of(content.entry), self._target) as part:
            part.truncate()
            return self._filled(part, content)

    def _part_of(self, entry: Entry) -> Path:
        assert entry.etag is not None
        return part_of(self._target, entry.etag)

    def _gone_on_with(self, part: Part, entry: Entry, size: int) -> Entry:
        if part.size > size:
            part.truncate()
        if part.size == size:
            self._progress(part.size)
            return self._finished(part, entry, is_mended=True)
        with Content(self._connection, self._path, start=part.size, etag=entry.etag) as content:
            if content.entry.etag != entry.etag:
                part.remove()
                return self._from_the_beginning(content)
            if content.start != part.size:  # a server that knows no ranges
                part.truncate()
            self._progress(part.size)
            return self._filled(part, content)

    def _filled(self, part: Part, content: Content) -> Entry:
        try:
            for piece in content:
                part.append(piece)
                self._progress(len(piece))
        except Conflict:
            self._discard(part)
            raise
        return self._finished(part, content.entry, is_mended=content.is_mended or content.start > 0)

    def _finished(self, part: Part, entry: Entry, *, is_mended: bool) -> Entry:
        if self._verify or (self._verify is None and is_mended):
            self._compare(part, entry)
        part.become_target()
        return entry

    def _compare(self, part: Part, entry: Entry) -> None:
        try:
            wanted = self._connection.sha256(entry)
        except Conflict:
            self._discard(part)
            raise
        if wanted is None:
            if self._verify:
                raise ArtifactError(f"The server tells no digest of {self._path!r} to compare with.")
            return
        found = part.sha256()
        if found != wanted:
            self._discard(part)
            raise DigestMismatch(
                f"{self._path!r} was damaged on its way: its sha-256 is {found.hex()}, not {wanted.hex()}."
            )

    def _discard(self, part: Part) -> None:
        self._progress(-part.size)
        part.remove()


def _forget(part: Path) -> None:
    """What is left of another version is in nobody's way where it cannot be removed."""
    try:
        part.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%r is of no use any more, and cannot be removed: %s.", str(part), reason(error))
