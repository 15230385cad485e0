"""An artifact as a file that is read from any place, without all of it being downloaded."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from artifact_proxy.connection import Connection
from artifact_proxy.entries import Entry
from artifact_proxy.errors import Conflict

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BUFFER_BYTES = 1024 * 1024
"""What one request asks for at least."""


class RemoteFile(io.RawIOBase):
    """Each read is a request for a range of one version."""

    def __init__(self, connection: Connection, entry: Entry) -> None:
        super().__init__()
        assert entry.size is not None
        self.name = entry.path
        self._connection = connection
        self._entry = entry
        self._size = entry.size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"there is nothing before the beginning of {self.name!r}")
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._range(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._range(self._size)

    def _range(self, count: int) -> bytes:
        stop = min(self._position + count, self._size)
        if stop <= self._position:
            return b""
        headers = {"Range": f"bytes={self._position}-{stop - 1}"}
        if self._entry.etag is not None:
            headers["If-Match"] = self._entry.etag
        answer = self._connection.ask(
            "GET", self._connection.artifact_url(self.name), repr(self.name), headers
        )
        if len(answer.body) != stop - self._position:
            raise Conflict(f"{self.name!r} is not the same any more; open it again.")
        self._position = stop
        return answer.body
