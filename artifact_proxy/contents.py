"""The bytes of an artifact as they come, gone on with where a connection breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from urllib3.response import BaseHTTPResponse

from artifact_proxy import stopping
from artifact_proxy.connection import Connection, require_name
from artifact_proxy.entries import Entry
from artifact_proxy.errors import ArtifactError, Conflict, Unavailable
from artifact_proxy.network import CHUNK_BYTES

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


class Content:
    """One version of an artifact, from `start` on.

    It may not be what was asked for: where `etag` is not the current version, it is another one, from its
    beginning. Raises `Conflict` while it is read if the version goes away meanwhile.
    """

    def __init__(self, connection: Connection, path: str, *, start: int = 0, etag: str | None = None) -> None:
        self._connection = connection
        self._path = path
        self._patience = connection.patience()
        self.is_mended = False
        """Whether it had to be gone on with."""
        require_name(path)
        headers = {} if etag is None or not start else {"Range": f"bytes={start}-", "If-Range": etag}
        self._response = self._open(headers)
        self.start, self.entry = self._described(start)

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, without their end where the version goes away. `Unavailable` after the last attempt."""
        position, size = self.start, self.entry.size
        while True:
            stopping.check()
            try:
                piece = self._connection.read(self._response, CHUNK_BYTES)
                if not piece and size is not None and position != size:
                    raise Unavailable(f"{self._path!r} ended after {position} of {size} bytes.")
            except Unavailable as error:
                self._patience.wait(error)
                self._go_on(position)
                continue
            if not piece:
                return
            position += len(piece)
            self._patience.renew()
            yield piece

    def _go_on(self, position: int) -> None:
        self.close()
        assert self.entry.etag is not None
        headers = {"Range": f"bytes={position}-", "If-Match": self.entry.etag}
        self._response = self._open(headers)
        start, entry = self._described(position)
        self.is_mended = True
        if (start, entry.etag) != (position, self.entry.etag):
            raise Conflict(f"{self._path!r} was replaced while it was read; read it again.")

    def _open(self, headers: dict[str, str]) -> BaseHTTPResponse:
        url, subject = self._connection.artifact_url(self._path), repr(self._path)
        return self._patience.repeat(lambda: self._connection.once("GET", url, subject, headers))

    def close(self) -> None:
        """Ends the connection, if not all was read."""
        self._response.close()
        self._response.release_conn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _described(self, start: int) -> tuple[int, Entry]:
        """Where the answer begins, and the artifact that it is of."""
        try:
            entry = self._connection.described(self._path, self._response)
            if self._response.status != 206:
                return 0, entry
            found = _CONTENT_RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise ArtifactError(f"The answer for {self._path!r} has not the range that was asked for.")
            return start, entry._replace(size=int(found[3]))
        except ArtifactError:
            self._response.close()
            raise
