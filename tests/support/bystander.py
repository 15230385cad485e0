"""Storage as somebody sees it who stands beside the server: what a refusal may not have changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.presigning import Place
from tests.support.server import Server
from tests.support.waiting import wait_until

_LOCKS = Path(".artifact-proxy", "locks")


def kept(server: Server) -> dict[str, str]:
    """All that lies in the root and beside it: kinds, modes, links' targets, and digests of files.

    The server's log and its locks, which say nothing, and uploads in progress are not among it.
    """
    around, passing = server.root.parent, (server.staging, server.root / _LOCKS)
    return {
        str(path.relative_to(around)): _described(path)
        for path in sorted(around.rglob("*"))
        if path != server.log_file and path.parent not in passing
    }


def _described(path: Path) -> str:
    try:
        status = path.lstat()
        kind = stat.filemode(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return f"{kind} {os.readlink(path)}"
        if stat.S_ISREG(status.st_mode):
            return f"{kind} {status.st_ino} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    except FileNotFoundError:
        return "gone this moment"
    return kind


def kept_in_store(place: Place) -> dict[str, str]:
    """The objects of a bucket with their ETags, the server's records among them, and the open uploads."""
    objects = place.client.get_paginator("list_objects_v2").paginate(Bucket=place.bucket)
    uploads = place.client.get_paginator("list_multipart_uploads").paginate(Bucket=place.bucket)
    return {each["Key"]: each["ETag"] for page in objects for each in page.get("Contents", [])} | {
        f"upload {each['UploadId']}": each["Key"] for page in uploads for each in page.get("Uploads", [])
    }


@contextmanager
def unchanged(*watched: Server | Place) -> Iterator[None]:
    """What is done inside leaves the storage of these servers as it was, and nothing in progress there."""
    before = [_seen(each) for each in watched]
    yield
    # What was broken off is cleared away a moment after the answer.
    with suppress(AssertionError):
        wait_until(lambda: [_seen(each) for each in watched] == before, "storage as it was before")
        wait_until(lambda: not any(_in_progress(each) for each in watched), "nothing in progress")
        return
    assert [_seen(each) for each in watched] == before
    assert [_in_progress(each) for each in watched] == [[] for _ in watched]


def _seen(watched: Server | Place) -> dict[str, str]:
    return kept(watched) if isinstance(watched, Server) else kept_in_store(watched)


def _in_progress(watched: Server | Place) -> list[str]:
    """Apart from what was there before, since the last refusal may be on its way out of it."""
    return watched.staged() if isinstance(watched, Server) else []
