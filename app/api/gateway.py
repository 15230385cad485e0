"""What can be done with an artifact: one implementation behind both HTTP surfaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api import conditions
from app.api.access import Access
from app.api.admission import Admission
from app.api.digests import ALGORITHMS, Digests, repr_digest, wanted_algorithm
from app.api.direct import DirectGateway
from app.api.forwarded import is_proxied
from app.api.headers import artifact_headers, validators
from app.api.opening import opened_artifact
from app.api.pace import Pace
from app.api.quotas import Quotas, Reservation
from app.api.threads import StorageThreads
from app.api.transfer import TRANSFER_BYTES, DownloadResponse, WholeResponse, digest_of, receive
from app.api.uploads import require_plain_body, require_size
from app.errors import InvalidRequest
from app.identity.permissions import Action
from app.paths import ArtifactPath
from app.storage.base import Download, Storage, Upload
from app.storage.entry import Entry
from app.storage.ranges import RangeNotSatisfiable

_DELETION_BYTES = 1024 * 1024
"""What a page of a store's keys takes."""

T = TypeVar("T", str, bytes)


class Stored(NamedTuple):
    """The outcome of an upload."""

    entry: Entry
    created: bool
    headers: dict[str, str]


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
        require_plain_body(request.headers)
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
        require_size(size, self._max_size)
        room.grow_to(size)

    async def download(self, request: Request, path: ArtifactPath, *, here: bool = False) -> Response:
        """The artifact, the range of it that was asked for, 304, or a redirect to the storage.

        `here`: it is to come from this server itself, whoever else could send it.
        """
        self._access.require(request, Action.READ, path)
        transfer = await self._admission.begin_transfer(request, "download", TRANSFER_BYTES)
        if self._redirect_above and not here and conditions.is_plain(request.headers):
            url = await self._direct.redirect(request, path, self._redirect_above)
            if url is not None:
                return RedirectResponse(url, 307, {"Cache-Control": "no-store"})
        if (
            self._accel_redirect
            and not here
            and is_proxied(request)
            and conditions.is_plain_to_nginx(request.headers)
        ):
            return await self._accelerated(request, path)
        opened = await opened_artifact(self._storage, self._threads, path, request.headers)
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

    async def head(self, request: Request, path: ArtifactPath) -> Response:
        """The answer to GET without its body; the artifact is read only where its digest is wanted."""
        self._access.require(request, Action.READ, path)
        algorithm = wanted_algorithm(request.headers)
        if algorithm is not None:
            return await self._digested(request, path, algorithm)
        entry = await self._artifact(path)
        if conditions.is_not_modified(request.headers, entry):
            return Response(status_code=304, headers=validators(entry))
        return Response(headers=artifact_headers(entry))

    async def _digested(self, request: Request, path: ArtifactPath, algorithm: str) -> Response:
        """The answer to HEAD with the digest of the very version whose headers it has."""
        await self._admission.begin_transfer(request, "download", TRANSFER_BYTES)
        download = await self._threads.acquire(partial(self._storage.read, path), _close)
        try:
            entry = download.entry
            if conditions.is_not_modified(request.headers, entry):
                return Response(status_code=304, headers=validators(entry))
            name = ALGORITHMS[algorithm]
            digest = await digest_of(download, name, self._threads, request.is_disconnected)
            return Response(headers=artifact_headers(entry) | repr_digest(algorithm, digest))
        finally:
            await self._threads.clean_up(download.close)

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

    def actions(self, request: Request, entry: Entry) -> tuple[Action, ...]:
        """See `Access.actions`."""
        return self._access.actions(request, entry)

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


def _abort(upload: Upload) -> None:
    upload.abort()  # its own, where `Upload.abort` would be that of the protocol, which does nothing


def _close(download: Download) -> None:
    download.close()
