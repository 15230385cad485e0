"""What can be done with a whole directory: fetched as an archive, filled from one, or from a form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from app.api import conditions
from app.api.access import Access
from app.api.admission import Admission
from app.api.digests import Digests
from app.api.folders.download import ARCHIVE_BYTES, ArchiveDownload
from app.api.folders.forms import FormReader, boundary_of
from app.api.folders.outcomes import ArchiveOutcome, FormOutcome, Outcome, Unpacked
from app.api.folders.read_ahead import ReadAhead
from app.api.folders.unpacking import UNPACKING_BYTES, Unpacking
from app.api.headers import archive_headers
from app.api.pace import Pace
from app.api.quotas import Quotas
from app.api.records import StoredRecords
from app.api.threads import StorageThreads
from app.api.transfer import DownloadResponse, receive
from app.api.uploads import require_plain_body
from app.api.visit import GONE, LOOK, visit_of
from app.archives.formats import ArchiveFormat, ArchiveReader
from app.audit import AuditLog
from app.errors import ArtifactError, InvalidRequest, UploadInterrupted
from app.identity.permissions import Action
from app.paths import ArtifactPath
from app.storage.base import Batch, Published, Storage
from app.storage.entry import UNCONDITIONAL, Precondition

T = TypeVar("T")


class FolderGateway:
    def __init__(
        self,
        storage: Storage,
        threads: StorageThreads,
        access: Access,
        admission: Admission,
        quotas: Quotas,
        audit: AuditLog,
        *,
        max_size: int,
        pace: Pace,
    ) -> None:
        """See `app.api.gateway.Gateway`. `audit` is told of each artifact among many."""
        self._storage = storage
        self._threads = threads
        self._access = access
        self._admission = admission
        self._quotas = quotas
        self._audit = audit
        self._max_size = max_size
        self._pace = pace
        self._ahead = ReadAhead(storage)

    async def download(self, request: Request, directory: ArtifactPath, archive: ArchiveFormat) -> Response:
        """All that the caller may see and read below the directory. Nothing at all is `ArtifactNotFound`."""
        readable = self._access.require_folder(request, directory)
        if request.scope["http_version"] == "1.0":
            raise InvalidRequest(
                "An archive is sent in HTTP/1.1 only: in HTTP/1.0 one that was cut off would look complete."
            )
        transfer = await self._admission.begin_transfer(request, "download", ARCHIVE_BYTES)
        download = ArchiveDownload(
            self._storage, self._ahead, directory, readable, archive.writer(), transfer
        )
        headers = archive_headers(directory, archive)
        try:
            first = await self._threads.run(next, download, b"")
        except BaseException:
            await self._threads.clean_up(download.close)
            raise
        if request.method == "HEAD":
            first = b""
        return DownloadResponse(first, download, self._threads, status_code=200, headers=headers)

    async def unpack(self, request: Request, directory: ArtifactPath, archive: ArchiveFormat) -> Unpacked:
        """Stores the members of an archive: all of them, or none as far as the storage lets that be."""
        with self._recorded(request) as records:
            return await self._store(
                request, directory, archive.reader, ArchiveOutcome(records), together=True
            )

    async def store_form(self, request: Request, directory: ArtifactPath) -> list[Published]:
        """Stores the files of a form, each by itself, once the form has come as a whole."""
        reader = partial(FormReader, boundary_of(request.headers))
        with self._recorded(request) as records:
            return await self._store(request, directory, reader, FormOutcome(records), together=False)

    def _recorded(self, request: Request) -> StoredRecords:
        return StoredRecords(self._audit, visit_of(request))

    async def _store(
        self,
        request: Request,
        directory: ArtifactPath,
        reader: Callable[[], ArchiveReader],
        outcome: Outcome[T],
        *,
        together: bool,
    ) -> T:
        require = self._access.require_each(request, Action.WRITE, directory)
        require_plain_body(request.headers)
        digests = Digests(request.headers)
        precondition = _precondition(request.headers)
        announced = request.headers.get("content-length")
        transfer = await self._admission.begin_transfer(request, "upload", UNPACKING_BYTES)
        with self._quotas.reservations() as room:
            batch = await self._threads.acquire(self._storage.batch, _abort)
            unpacking = Unpacking(
                reader(),
                batch,
                directory,
                outcome,
                together=together,
                require=require,
                precondition=precondition,
                max_size=self._max_size,
                room=room,
                transfer=transfer,
            )
            try:
                return await receive(
                    request.stream(),
                    None if announced is None else int(announced),
                    unpacking,
                    digests,
                    self._threads,
                    judge=_take_any,
                    pace=self._pace,
                    require_client=partial(_require_client, request),
                )
            except ArtifactError as error:
                await self._threads.clean_up(unpacking.abort)
                return unpacking.broken_off(error)
            except BaseException:
                await self._threads.clean_up(unpacking.abort)
                raise

    def close(self) -> None:
        self._ahead.close()


def _take_any(_: int) -> None:
    """Of the body as a whole nothing is judged: its files are."""


def _abort(batch: Batch) -> None:
    batch.abort()


def _require_client(request: Request) -> None:
    """Raises `UploadInterrupted` if the client is gone, which a body that nobody reads does not tell."""
    request.get(LOOK, lambda: None)()
    gone = request.get(GONE)
    if gone is not None and gone.done():
        visit_of(request).gone = True
        raise UploadInterrupted("The client went away before the whole body had arrived.")


def _precondition(headers: Headers) -> Precondition:
    """What holds for each of many artifacts: there is none yet, or nothing is demanded."""
    precondition = conditions.write_precondition(headers)
    if precondition not in {UNCONDITIONAL, Precondition(none_match="*")}:
        raise InvalidRequest("Of many artifacts only this can be demanded: If-None-Match: *, none is there.")
    return precondition
