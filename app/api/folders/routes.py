"""The native REST routes that fill a whole directory. To fetch one is its listing's other form."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.api import openapi, problems
from app.api.conditions import entity_tag
from app.api.folders import openapi as openapi_folders
from app.api.folders.gateway import FolderGateway
from app.api.folders.negotiation import named_archive
from app.api.schemas import RefusedFile, StoredArchive, StoredFile, StoredForm
from app.archives.formats import FORMATS
from app.errors import InvalidRequest
from app.paths import ArtifactPath
from app.storage.base import Published

_REFUSALS = openapi.problems(409, 412, 413, 415, 417, 507)
_ROUTES: tuple[tuple[str, str, list[dict[str, Any]]], ...] = (
    ("/", "root", []),
    ("/{directory:path}/", "directory", [openapi.DIRECTORY]),
)
"""Their paths, what those are called, and the parameters in them."""


def router(gateway: FolderGateway) -> APIRouter:
    """To be included before the routes of artifacts, which take a final slash for a part of a path."""
    routes = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])

    async def unpack(request: Request) -> Response:
        """Stores the members of a tar or zip archive below the directory.

        They appear one right after the other, once the archive has come as a whole and is found good. Where
        that fails in the middle, the message says how many were stored.
        """
        directory = directory_of(request)
        archive = named_archive(request)
        if archive is None:
            formats = " or ".join(f"?archive={name}" for name in FORMATS)
            raise InvalidRequest(
                "The path ends with a slash, so it names a directory: send an archive of its artifacts with "
                f"{formats}, or one artifact to a path without the slash."
            )
        count, size = await gateway.unpack(request, directory, archive)
        body = StoredArchive(path=str(directory), artifacts=count, size=size)
        return JSONResponse(body.model_dump(), 201, {"Location": _url(request, directory)})

    async def store_form(request: Request) -> Response:
        """Stores the files of a form below the directory, each by itself, once the form has come as a whole.

        Where some cannot be stored, the status is that of the first of them, and `files` in the body tells of
        each file.
        """
        published = await gateway.store_form(request, directory_of(request))
        files = [_told(each) for each in published]
        failure = next((each.error for each in published if each.error is not None), None)
        if failure is not None:
            return problems.answer(request, failure, files=files)
        return JSONResponse({"files": files}, 201, {"Location": _url(request, directory_of(request))})

    for path, name, parameters in _ROUTES:
        routes.put(
            path,
            status_code=201,
            response_model=StoredArchive,
            responses=openapi_folders.STORED | _REFUSALS,
            openapi_extra=openapi_folders.ARCHIVE_BODY
            | {"parameters": [*parameters, openapi_folders.ARCHIVE, *openapi_folders.HEADERS_OF_MANY]},
            operation_id=f"unpack_to_{name}",
            summary=f"Fill the {name} from an archive",
        )(unpack)
        routes.post(
            path,
            status_code=201,
            response_model=StoredForm,
            responses=openapi_folders.STORED | _REFUSALS,
            openapi_extra=openapi_folders.FORM_BODY
            | {"parameters": [*parameters, *openapi_folders.HEADERS_OF_MANY]},
            operation_id=f"store_form_in_{name}",
            summary=f"Upload files to the {name} by a form",
        )(store_form)
    return routes


def directory_of(request: Request) -> ArtifactPath:
    """The directory of a route that ends with a slash."""
    named = request.path_params.get("directory")
    return ArtifactPath() if named is None else ArtifactPath.from_url(named)


def _url(request: Request, directory: ArtifactPath) -> str:
    return f"{request.scope['root_path']}/v1/artifacts/{directory.url}{'' if directory.is_root else '/'}"


def _told(published: Published) -> dict[str, Any]:
    path, entry, created, error = published
    if error is not None:
        _, code = problems.answer_for(error)
        return RefusedFile(path=str(path), error_code=code, message=str(error)).model_dump()
    assert entry is not None
    assert entry.size is not None
    return StoredFile(path=str(path), size=entry.size, etag=entity_tag(entry), created=created).model_dump()
