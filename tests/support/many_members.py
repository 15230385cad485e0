"""Archives of so many members that a server takes long for them, and how far it has come."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from contextlib import suppress
from functools import cache

from tests.support.raw import head
from tests.support.server import Server

MANY = 6_000
"""Members, of which the larger part comes in one batch of the body, and takes many slices."""


@cache
def many_members(count: int = MANY, directories: int = 3) -> bytes:
    """A zip archive of empty files, in several directories."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"{number % directories}/{number:05}"), b"")
    return written.getvalue()


def send_many(connected: socket.socket, directory: str, content: bytes, left_out: int = 0) -> None:
    """Asks for the archive to be unpacked; `left_out`: bytes at its end that are not sent."""
    begin = head("PUT", f"/v1/artifacts/{directory}/?archive=zip", f"Content-Length: {len(content)}")
    connected.sendall(begin + content[: len(content) - left_out])


def staged_members(server: Server) -> int:
    """In a local root, of batches that live or were left."""
    count = 0
    for name in server.staged():
        with suppress(FileNotFoundError):
            count += len([file for file in os.listdir(server.staging / name) if file != "lock"])
    return count


def stored_members(server: Server, directory: str) -> int:
    """In a local root."""
    return sum(1 for found in (server.root / directory).rglob("*") if found.is_file())
