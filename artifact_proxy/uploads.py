"""Uploads: sent with their digest where it can be known before, compared with the server's where not."""

from __future__ import annotations

import hashlib
import io
import os
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, BinaryIO

from artifact_proxy import stopping
from artifact_proxy.connection import SLOWEST_STORAGE, Answer, Connection, require_name
from artifact_proxy.entries import Entry
from artifact_proxy.errors import ArtifactError, Conflict, DigestMismatch, Unavailable
from artifact_proxy.headers import answered_sha256
from artifact_proxy.local import reading
from artifact_proxy.network import CHUNK_BYTES
from artifact_proxy.progress import Progress, unseen
from artifact_proxy.sources import LocalPath, await_bytes, is_repeatable, opened


def put(
    connection: Connection,
    source: LocalPath | BinaryIO,
    path: str,
    *,
    create_only: bool = False,
    progress: Progress = unseen,
) -> Entry:
    """Uploads a file of this machine, or what an open one has from where it stands to its end.

    Raises `ArtifactError` also where it cannot be read.
    """
    require_name(path)
    with opened(source) as (file, name):
        kind = _Whole if is_repeatable(file) else _Stream
        return kind(connection, file, name, path, progress).put({"If-None-Match": "*"} if create_only else {})


class _Upload:
    def __init__(
        self, connection: Connection, file: BinaryIO, name: str, path: str, progress: Progress
    ) -> None:
        self._connection = connection
        self._file = file
        self._name = name
        self._path = path
        self._progress = progress
        self._sent = 0

    def _read(self, size: int) -> bytes:
        """Up to so many bytes, waited for as long as it takes; none at the end."""
        while True:
            stopping.check()
            with reading(self._name):
                piece: Any = self._file.read(size)
                if piece is None:  # nobody waits at an open file that does not block
                    await_bytes(self._file)
                    continue
            assert isinstance(piece, bytes)
            return piece

    def _moved(self, count: int) -> None:
        self._sent += count
        self._progress(count)

    def _request(self, headers: dict[str, str], body: Iterator[bytes], patience: float = 0) -> Answer:
        url = self._connection.artifact_url(self._path)
        response = self._connection.once("PUT", url, repr(self._path), headers, body, patience=patience)
        return Answer(response.status, response.headers, self._connection.read(response))

    def _stored(self, answer: Answer) -> Entry:
        def read(told: Any) -> Entry:
            return Entry(told["path"], size=told["size"], etag=told["etag"])

        stored: Entry = self._connection.parsed(answer.body, read)
        return stored


class _Whole(_Upload):
    """Of what can be read twice: for its digest, and then as often as the network wants it."""

    def __init__(
        self, connection: Connection, file: BinaryIO, name: str, path: str, progress: Progress
    ) -> None:
        super().__init__(connection, file, name, path, progress)
        self._state = self._look()
        self._start = file.tell()
        self._size = file.seek(0, io.SEEK_END) - self._start
        self._uncertain = False
        """Whether the server may have stored what it did not acknowledge."""

    def put(self, headers: dict[str, str]) -> Entry:
        digest = hashlib.sha256()
        for piece in self._pieces():
            digest.update(piece)
        headers = headers | {
            "Content-Length": str(self._size),
            "Repr-Digest": f"sha-256=:{b64encode(digest.digest()).decode()}:",
        }
        try:
            return self._connection.patience().repeat(lambda: self._attempt(headers))
        except Conflict:
            if "If-None-Match" in headers and self._uncertain and (found := self._is_there(digest.digest())):
                return found
            raise

    def _attempt(self, headers: dict[str, str]) -> Entry:
        try:
            answer = self._request(headers, self._counted(), self._size / SLOWEST_STORAGE)
        except DigestMismatch:
            self._progress(-self._sent)
            self._sent = 0
            if self._look() != self._state:
                raise self._changed() from None
            raise
        except Unavailable:
            self._uncertain |= self._sent == self._size
            self._progress(-self._sent)
            self._sent = 0
            raise
        return self._stored(answer)

    def _counted(self) -> Iterator[bytes]:
        for piece in self._pieces():
            yield piece
            self._moved(len(piece))

    def _pieces(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        left = self._size
        if not left and self._look() != self._state:
            raise self._changed()
        while left:
            piece = self._read(min(CHUNK_BYTES, left))
            left -= len(piece)
            # Before the last piece, without which nothing is stored.
            if not piece or (not left and self._look() != self._state):
                raise self._changed()
            yield piece

    def _look(self) -> tuple[int, int] | None:
        """What is different once the file is another one."""
        try:
            now = os.fstat(self._file.fileno())
        except (OSError, AttributeError):
            return None
        return now.st_size, now.st_mtime_ns

    def _changed(self) -> ArtifactError:
        return ArtifactError(
            f"{self._name!r} changed while it was sent, so nothing was stored; send it again."
        )

    def _is_there(self, digest: bytes) -> Entry | None:
        """The artifact, if it is the one that we have sent."""
        entry = self._connection.examine(self._path)
        return entry if self._connection.sha256(entry) == digest else None


class _Stream(_Upload):
    """Of what can be read once only."""

    def put(self, headers: dict[str, str]) -> Entry:
        digest, taken = hashlib.sha256(), False

        def pieces() -> Iterator[bytes]:
            nonlocal taken
            taken = True
            while piece := self._read(CHUNK_BYTES):
                digest.update(piece)
                yield piece
                self._moved(len(piece))

        def attempt() -> Answer:
            try:
                return self._request(headers | {"Want-Repr-Digest": "sha-256=1"}, pieces())
            except Unavailable as error:
                error.is_final = taken
                if taken:
                    error.args = (f"{error} What came from {self._name} cannot be read again; send it anew.",)
                raise

        answer = self._connection.patience().repeat(attempt)
        told = answered_sha256(answer.headers)
        if told is not None and told != digest.digest():
            raise DigestMismatch(
                f"What was stored as {self._path!r} is not what came from {self._name}: its sha-256 is "
                f"{told.hex()}, not {digest.hexdigest()}; send it anew."
            )
        return self._stored(answer)
