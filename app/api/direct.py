"""Transfers that go past this server: presigned URLs for clients that can reach the storage.

Off unless the operator turns it on, and asked for nowhere else than here.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from app.api.access import Access
from app.api.admission import Admission, Transfer
from app.api.headers import content_disposition
from app.api.threads import StorageThreads
from app.errors import NotSupported
from app.identity.permissions import Action
from app.paths import ArtifactPath
from app.storage.base import DirectTransfers, MultipartUpload, Storage, UploadedPart
from app.storage.entry import Entry

# MLflow's client compares the beginning of this to fall back on a plain PUT.
NO_MULTIPART_UPLOAD = "Multipart upload is not supported for the current artifact repository"
NO_MULTIPART_DOWNLOAD = "Multipart download is not supported for the current artifact repository"


class DirectGateway:
    def __init__(
        self,
        storage: Storage,
        threads: StorageThreads,
        access: Access,
        admission: Admission,
        direct: DirectTransfers | None,
    ) -> None:
        """Without `direct` every method raises `NotSupported`."""
        self._storage = storage
        self._threads = threads
        self._access = access
        self._admission = admission
        self._direct = direct

    @property
    def enabled(self) -> bool:
        return self._direct is not None

    async def download(self, request: Request, path: ArtifactPath) -> tuple[str, Entry]:
        """A URL from which the artifact can be downloaded for a while, and what it is."""
        self._access.require(request, Action.READ, path)
        direct = self._require(NO_MULTIPART_DOWNLOAD)

        def presigned() -> tuple[str, Entry]:
            entry = self._storage.stat(path)
            entry.require_artifact()
            return direct.download(entry, content_disposition(path.name)), entry

        return await self._threads.run(presigned)

    async def redirect(self, request: Request, path: ArtifactPath, above: int) -> str | None:
        """The URL of `download` for an artifact of more than `above` bytes; None for any other."""
        self._access.require(request, Action.READ, path)
        direct = self._require(NO_MULTIPART_DOWNLOAD)

        def presigned() -> str | None:
            entry = self._storage.stat(path)
            large = not entry.is_dir and (entry.size or 0) > above
            return direct.download(entry, content_disposition(path.name)) if large else None

        return await self._threads.run(presigned)

    async def admit(self, request: Request, directory: ArtifactPath, memory: int) -> Transfer:
        """Refuses, before the body is read, whoever may upload nothing to the directory.

        Gives the others `memory` bytes for what they ask.
        """
        self._access.require_some(request, Action.WRITE, directory)
        return await self._admission.begin_transfer(request, "multipart", memory)

    async def begin(self, request: Request, path: ArtifactPath, parts: int) -> MultipartUpload:
        self._access.require(request, Action.WRITE, path)
        direct = self._require(NO_MULTIPART_UPLOAD)
        return await self._threads.run(direct.begin, path, parts)

    async def complete(
        self, request: Request, path: ArtifactPath, upload_id: str, parts: Sequence[UploadedPart]
    ) -> None:
        self._access.require(request, Action.WRITE, path)
        direct = self._require(NO_MULTIPART_UPLOAD)
        await self._threads.run(direct.complete, path, upload_id, parts)

    async def abort(self, request: Request, path: ArtifactPath, upload_id: str) -> None:
        self._access.require(request, Action.WRITE, path)
        direct = self._require(NO_MULTIPART_UPLOAD)
        await self._threads.run(direct.abort, path, upload_id)

    def _require(self, refusal: str) -> DirectTransfers:
        if self._direct is None:
            raise NotSupported(refusal)
        return self._direct
