"""What can be done with an artifact: one implementation behind both HTTP surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api import conditions
from app.api.access import Access
from app.api.admission import Admission
from app.api.digests import Digests
from app.api.direct import DirectGateway
from app.api.forwarded import is_proxied
from app.api.headers import artifact_headers, validators
from app.api.pace import Pace
from app.api.quotas import Quotas, Reservation
from app.api.threads import StorageThreads
from app.api.transfer import TRANSFER_BYTES, DownloadResponse, WholeResponse, receive
from app.errors import (
    ExpectationFailed,
    InvalidRequest,
    RequestTooLarge,
    UnsupportedMediaType,
)
from app.identity.permissions import Action
from app.paths import ArtifactPath
from app.storage.base import Chunk, Download, Entry, RangeNotSatisfiable, Storage, Upload

_DELETION_BYTES = 1024 * 1024
"""What a page of a store's keys takes."""

T = TypeVar("T", str, bytes)


class Stored(NamedTuple):
    """The outcome of an upload."""

    entry: Entry
    created: bool
    headers: dict[str, str]


class Opened(NamedTuple):
    """A download with its first chunk. Where that is all of it, the download is closed already."""

    download: Download
    first: Chunk
    complete: bool
    ranged: bool
    """Whether it is a range that was asked for, even if it holds every byte."""


class Gateway:
    def __init__(
        self,
        storage: Storage,
        threads: StorageThreads,
        access: Access,
        direct: DirectGateway,
        admission: Admission,
        quotas: Quotas,
        *,
        max_size: int,
        pace: Pace,
        redirect_above: int = 0,
        accel_redirect: str = "",
    ) -> None:
        """No artifact of more than `max_size` bytes is taken; 0 for any.

        Plain downloads of more than `redirect_above` bytes are left to `direct`; 0 for none.

        Downloads through a reverse proxy are left to it if it has the files, at its location
        `accel_redirect`.
        """
        self._direct = direct
        self._admission = admission
        self._quotas = quotas
        self._max_size = max_size
        self._pace = pace
        self._redirect_above = redirect_above
        self._accel_redirect = accel_redirect
        self._storage = storage
        self._threads = threads
        self._access = access

    async def upload(self, request: Request, path: ArtifactPath) -> Stored:
        """Stores the request's body; what can be judged before it is read is judged before."""
        self._access.require(request, Action.WRITE, path)
        _require_plain_body(request.headers)
        digests = Digests(request.headers)
        announced = request.headers.get("content-length")
        length = None if announced is None else int(announced)
        expected = TRANSFER_BYTES if length is None else min(length, TRANSFER_BYTES)
        await self._admission.begin_transfer(request, "upload", expected)
        with self._quotas.reservation(path) as room:
            judge = partial(self._judge_size, room)
            judge(length or 0)
            create = partial(
                self._storage.create,
                path,
                size=length,
                precondition=conditions.write_precondition(request.headers),
            )
            upload = await self._threads.acquire(create, _abort)
            try:
                entry = await receive(
                    request.stream(), length, upload, digests, self._threads, judge=judge, pace=self._pace
                )
            except BaseException:
                await self._threads.clean_up(upload.abort)
                raise
            room.keep()
        return Stored(
            entry, upload.created, digests.response_headers() | {"ETag": conditions.entity_tag(entry)}
        )

    def _judge_size(self, room: Reservation, size: int) -> None:
        """Refuses an artifact of `size` bytes, or of that many so far, that has no room."""
        if self._max_size and size > self._max_size:
            raise RequestTooLarge(
                f"The artifact is larger than the {self._max_size} bytes that this server takes."
            )
        room.grow_to(size)

    async def download(self, request: Request, path: ArtifactPath) -> Response:
        """The artifact, the range of it that was asked for, 304, or a redirect to the storage."""
        self._access.require(request, Action.READ, path)
        transfer = await self._admission.begin_transfer(request, "download", TRANSFER_BYTES)
        if self._redirect_above and conditions.is_plain(request.headers):
            url = await self._direct.redirect(request, path, self._redirect_above)
            if url is not None:
                return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
        if self._accel_redirect and is_proxied(request) and conditions.is_plain_to_nginx(request.headers):
            return await self._accelerated(request, path)
        opened = await self._opened_at_once(path, request.headers)
        if opened is None:
            opened = await self._threads.acquire(partial(self._open, path, request.headers), _release)
        if isinstance(opened, Entry):
            return Response(status_code=304, headers=validators(opened))
        download, first, complete, ranged = opened
        status = 206 if ranged else 200
        headers = artifact_headers(download.entry, download.span if ranged else None)
        if complete:
            transfer.holds(len(first))
            return WholeResponse(bytes(first), status, headers)
        return DownloadResponse(first, download, self._threads, status_code=status, headers=headers)

    async def _accelerated(self, request: Request, path: ArtifactPath) -> Response:
        """Headers alone, from which the reverse proxy makes the response, ranges included."""
        entry = await self._artifact(path)
        assert entry.size is not None
        wanted = conditions.wanted_range(request.headers)
        if wanted is not None and wanted.resolve(entry.size) is None:
            raise RangeNotSatisfiable(entry)
        headers = artifact_headers(entry) | {"X-Accel-Redirect": f"{self._accel_redirect}/{path.url}"}
        for name in ("Content-Length", "Accept-Ranges"):  # the reverse proxy's own
            del headers[name]
        return Response(headers=headers)

    def _open(self, path: ArtifactPath, headers: Headers) -> Opened | Entry:
        """Opens the artifact and reads the first chunk, in one go for the sake of small ones.

        Gives the entry alone where the client has this version already.
        """
        wanted = conditions.wanted_range(headers)
        try:
            download = self._storage.read(path, wanted)
        except RangeNotSatisfiable as error:
            # The conditions have precedence, and a range whose If-Range fails was never asked for.
            if conditions.is_not_modified(headers, error.entry):
                return error.entry
            if conditions.range_holds(headers, error.entry):
                raise
            wanted = None
            download = self._storage.read(path)
        try:
            if conditions.is_not_modified(headers, download.entry):
                download.close()
                return download.entry
            if wanted is not None and not conditions.range_holds(headers, download.entry):
                wanted = None
                download.close()
                download = self._storage.read(path)
            return _opened(download, next(download, b""), ranged=wanted is not None)
        except BaseException:
            download.close()
            raise

    async def _opened_at_once(self, path: ArtifactPath, headers: Headers) -> Opened | Entry | None:
        """The same without a thread as far as nothing needs to be waited for; None where it must be opened
        in one."""
        if "if-range" in headers:
            return None
        wanted = conditions.wanted_range(headers)
        download = self._storage.read_at_once(path, wanted)
        if download is None:
            return None
        try:
            if conditions.is_not_modified(headers, download.entry):
                download.close()
                return download.entry
            first = download.next_at_once()
            if first is None:
                first = await self._threads.run(next, download, b"")
            return _opened(download, first, ranged=wanted is not None)
        except BaseException:
            await self._threads.clean_up(download.close)
            raise

    async def head(self, request: Request, path: ArtifactPath) -> Response:
        """The answer to GET without its body, and without reading the artifact."""
        self._access.require(request, Action.READ, path)
        entry = await self._artifact(path)
        if conditions.is_not_modified(request.headers, entry):
            return Response(status_code=304, headers=validators(entry))
        return Response(headers=artifact_headers(entry))

    async def _artifact(self, path: ArtifactPath) -> Entry:
        entry = await self._threads.run(self._storage.stat, path)
        entry.require_artifact()
        return entry

    async def listing(
        self,
        request: Request,
        directory: ArtifactPath,
        render: Callable[[Iterator[Entry]], T],
        *,
        memory: int,
        recursive: bool = False,
        after: str | None = None,
        brief: bool = False,
    ) -> T:
        """What `render` makes of the entries that the caller may see, in a storage thread.

        It may take about `memory` bytes for that. See `Storage.list`.
        """
        visible = self._access.require_listing(request, directory, recursive=recursive)
        transfer = await self._admission.begin_transfer(request, "listing", memory)

        def rendered() -> T:
            entries = self._storage.list(directory, recursive=recursive, after=after, brief=brief)
            return render(entries if visible is None else filter(visible, entries))

        listing = await self._threads.run(rendered)
        transfer.holds(len(listing))
        return listing

    async def delete(self, request: Request, path: ArtifactPath) -> None:
        """Removes an artifact or a tree; the root is never removed."""
        if path.is_root:
            raise InvalidRequest(
                "The artifact root itself is never deleted; name an artifact or directory below it."
            )
        self._access.require(request, Action.DELETE, path)
        await self._admission.begin_transfer(request, "deletion", _DELETION_BYTES)
        await self._threads.run(
            self._storage.delete, path, precondition=conditions.write_precondition(request.headers)
        )


def _opened(download: Download, first: Chunk, *, ranged: bool) -> Opened:
    complete = len(first) == download.span.stop - download.span.start
    if complete:
        download.close()
    return Opened(download, first, complete, ranged)


def _abort(upload: Upload) -> None:
    upload.abort()  # its own, where `Upload.abort` would be that of the protocol, which does nothing


def _release(opened: Opened | Entry) -> None:
    if isinstance(opened, Opened):
        opened.download.close()


def _require_plain_body(headers: Headers) -> None:
    """Refuses what would make the body something else than the artifact's bytes."""
    expectation = _joined(headers, "expect")
    if expectation not in {"", "100-continue"}:
        raise ExpectationFailed(f"The expectation {expectation!r} is not known; send 100-continue or none.")
    encoding = _joined(headers, "content-encoding")
    if encoding not in {"", "identity"}:
        raise UnsupportedMediaType(
            f"Content-Encoding {encoding!r} is not accepted: artifacts are stored as they are. "
            "Send the compressed file under its own name, without this header."
        )
    if "content-range" in headers:
        raise InvalidRequest(
            "A part of an artifact cannot be replaced; send all of it, without Content-Range."
        )


def _joined(headers: Headers, name: str) -> str:
    """All lines of a header as one list, in lower case."""
    return ", ".join(headers.getlist(name)).strip().lower()
