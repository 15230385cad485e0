"""How a download begins: with the conditions of its request judged, and its first chunk read."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from starlette.datastructures import Headers

from app.api import conditions
from app.api.threads import StorageThreads
from app.paths import ArtifactPath
from app.storage.base import Chunk, Download, Storage
from app.storage.entry import Entry
from app.storage.ranges import RangeNotSatisfiable


class Opened(NamedTuple):
    """A download with its first chunk. Where that is all of it, the download is closed already."""

    download: Download
    first: Chunk
    complete: bool
    ranged: bool
    """Whether it is a range that was asked for, even if it holds every byte."""


async def opened_artifact(
    storage: Storage, threads: StorageThreads, path: ArtifactPath, headers: Headers
) -> Opened | Entry:
    """The artifact, or the range of it that the headers ask for, open, and its first chunk.

    Gives the entry alone where the client has this version already. Raises as `Storage.read`.
    """
    opened = await _at_once(storage, threads, path, headers)
    if opened is None:
        opened = await threads.acquire(partial(_open, storage, path, headers), _release)
    return opened


def _open(storage: Storage, path: ArtifactPath, headers: Headers) -> Opened | Entry:
    """All in one go, for the sake of small artifacts."""
    wanted = conditions.wanted_range(headers)
    try:
        download = storage.read(path, wanted)
    except RangeNotSatisfiable as error:
        # The conditions have precedence, and a range whose If-Range fails was never asked for.
        if conditions.is_not_modified(headers, error.entry):
            return error.entry
        if conditions.range_holds(headers, error.entry):
            raise
        wanted = None
        download = storage.read(path)
    try:
        if conditions.is_not_modified(headers, download.entry):
            download.close()
            return download.entry
        if wanted is not None and not conditions.range_holds(headers, download.entry):
            wanted = None
            download.close()
            download = storage.read(path)
        return _opened(download, next(download, b""), ranged=wanted is not None)
    except BaseException:
        download.close()
        raise


async def _at_once(
    storage: Storage, threads: StorageThreads, path: ArtifactPath, headers: Headers
) -> Opened | Entry | None:
    """The same without a thread as far as nothing needs to be waited for; None where it must be opened
    in one."""
    if "if-range" in headers:
        return None
    wanted = conditions.wanted_range(headers)
    download = storage.read_at_once(path, wanted)
    if download is None:
        return None
    try:
        if conditions.is_not_modified(headers, download.entry):
            download.close()
            return download.entry
        first = download.next_at_once()
        if first is None:
            first = await threads.run(next, download, b"")
        return _opened(download, first, ranged=wanted is not None)
    except BaseException:
        await threads.clean_up(download.close)
        raise


def _opened(download: Download, first: Chunk, *, ranged: bool) -> Opened:
    complete = len(first) == download.span.stop - download.span.start
    if complete:
        download.close()
    return Opened(download, first, complete, ranged)


def _release(opened: Opened | Entry) -> None:
    if isinstance(opened, Opened):
        opened.download.close()
