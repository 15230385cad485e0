"""The native REST routes under /v1/artifacts/."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import islice

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.folders import openapi as openapi_folders
from app.api.folders.gateway import FolderGateway
from app.api.folders.negotiation import named_archive, wanted_archive
from app.api.folders.routes import directory_of
from app.api.gateway import Gateway
from app.api.headers import FRAMED, NEGOTIATED
from app.api.schemas import DEFAULT_RESULTS, MAX_RESULTS, ArtifactEntry, Listing, StoredArtifact
from app.api.target import query_parameter
from app.api.transfer import WholeResponse
from app.errors import InvalidPath, InvalidRequest
from app.paths import ArtifactPath
from app.storage.entry import Entry

_ENTRY_BYTES = 2560
"""What an entry with a long path takes until it is JSON."""
_ACTIONS_BYTES = 256
"""What its actions take besides."""


def router(gateway: Gateway, folders: FolderGateway) -> APIRouter:
    routes = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])

    @routes.get(
        "/",
        response_model=Listing,
        responses=openapi_folders.LISTED | openapi.problems(404),
        openapi_extra={"parameters": [*openapi.LISTING_PARAMETERS, openapi_folders.WANTED_ARCHIVE]},
        operation_id="list_root",
        summary="List the artifact root",
    )
    @routes.get(
        "/{directory:path}/",
        response_model=Listing,
        responses=openapi_folders.LISTED | openapi.problems(404),
        openapi_extra={
            "parameters": [openapi.DIRECTORY, *openapi.LISTING_PARAMETERS, openapi_folders.WANTED_ARCHIVE]
        },
        operation_id="list_directory",
        summary="List a directory",
    )
    @routes.head("/", include_in_schema=False)
    @routes.head("/{directory:path}/", include_in_schema=False)
    async def list_directory(request: Request) -> Response:
        """One page of a directory. A directory exists by what is in it: a missing one lists as empty.

        Or all that is below it, as an archive.
        """
        directory = directory_of(request)
        archive = wanted_archive(request)
        if archive is not None:
            return await folders.download(request, directory, archive)
        limit = _limit(query_parameter(request, "max_results"))
        recursive = _flag(request, "recursive")
        with_actions = _flag(request, "actions")
        after = _last_seen(query_parameter(request, "page_token"), directory)
        entry_bytes = _ENTRY_BYTES + (_ACTIONS_BYTES if with_actions else 0)

        def page(entries: Iterator[Entry]) -> str:
            found = list(islice(entries, limit + 1))
            more = len(found) > limit
            listing = Listing(
                path=str(directory),
                entries=[ArtifactEntry.of(entry) for entry in found[:limit]],
                next_page_token=_page_token(found[limit - 1], directory) if more else None,
            )
            if with_actions:
                listing.actions = gateway.actions(request, Entry(directory, is_dir=True))
                for shown, entry in zip(listing.entries, found, strict=False):
                    shown.actions = gateway.actions(request, entry)
            return listing.model_dump_json(exclude_unset=True)

        body = await gateway.listing(
            request, directory, page, memory=limit * entry_bytes, recursive=recursive, after=after
        )
        return WholeResponse(body, headers=NEGOTIATED, media_type="application/json")

    @routes.get(
        "/{path:path}",
        response_class=Response,
        responses=openapi.DOWNLOADED | openapi.problems(404, 412, 416),
        openapi_extra={"parameters": [openapi.PATH, openapi.VIEW, *openapi.READ_HEADERS]},
        operation_id="download",
        summary="Download an artifact",
    )
    async def download(request: Request) -> Response:
        framed = _is_for_frame(request)
        response = await gateway.download(request, _path(request), here=framed)
        if framed:
            response.headers.update(FRAMED)
        return response

    @routes.head(
        "/{path:path}",
        response_class=Response,
        responses=openapi.without_bodies(openapi.EXAMINED | openapi.problems(404, 412)),
        openapi_extra={"parameters": [openapi.PATH, openapi.VIEW, *openapi.EXAMINE_HEADERS]},
        operation_id="examine",
        summary="The headers of a download",
    )
    async def examine(request: Request) -> Response:
        framed = _is_for_frame(request)
        response = await gateway.head(request, _path(request))
        if framed:
            response.headers.update(FRAMED)
        return response

    @routes.put(
        "/{path:path}",
        status_code=201,
        response_model=StoredArtifact,
        responses=openapi.UPLOADED | openapi.problems(409, 412, 413, 415, 417, 501, 507),
        openapi_extra=openapi.UPLOAD_BODY | {"parameters": [openapi.PATH, *openapi.WRITE_HEADERS]},
        operation_id="upload",
        summary="Upload an artifact",
    )
    async def upload(request: Request) -> Response:
        """Stores the body as the artifact. It appears whole, once it is complete and safely stored."""
        path = _path(request)
        if named_archive(request) is not None:
            raise InvalidRequest(
                f"{str(path)!r} names an artifact; to unpack an archive to a directory, end the path with a "
                "slash. (There curl -T adds the file's name, but none to what it reads from its input, -T -.)"
            )
        entry, created, headers = await gateway.upload(request, path)
        assert entry.size is not None
        body = StoredArtifact(path=str(path), size=entry.size, etag=headers["ETag"])
        root_path = request.scope["root_path"]
        headers["Location"] = f"{root_path}/v1/artifacts/{path.url}"
        return JSONResponse(body.model_dump(), 201 if created else 200, headers)

    @routes.delete(
        "/{path:path}",
        status_code=204,
        response_class=Response,
        responses=openapi.problems(412),
        openapi_extra={"parameters": [openapi.PATH, *openapi.WRITE_CONDITIONS]},
        operation_id="delete",
        summary="Delete an artifact or a directory",
    )
    async def delete(request: Request) -> Response:
        """Removes an artifact, or a directory with all that is below it. A missing path is no error."""
        path = ArtifactPath.directory_from_url(request.path_params["path"])
        await gateway.delete(request, path)
        return Response(status_code=204)

    return routes


def _path(request: Request) -> ArtifactPath:
    return ArtifactPath.from_url(request.path_params["path"])


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_RESULTS
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= MAX_RESULTS):
        raise InvalidRequest(f"max_results={text!a} is no number from 1 to {MAX_RESULTS}.")
    return int(text)


def _flag(request: Request, name: str) -> bool:
    text = query_parameter(request, name)
    if text not in {None, "true", "false"}:
        raise InvalidRequest(f"{name}={text!a} is neither true nor false.")
    return text == "true"


def _is_for_frame(request: Request) -> bool:
    """Whether the page asks for the artifact to show it in a frame. Nobody is to take it for a page."""
    view = query_parameter(request, "view") if request.scope["query_string"] else None
    if view not in {None, "frame"}:
        raise InvalidRequest(f"view={view!a} is not known; give frame, or leave it out.")
    if view and request.headers.get("sec-fetch-dest") == "document":
        raise InvalidRequest("view=frame is for frames of the page at /ui alone; leave it out to download.")
    return view is not None


def _page_token(last: Entry, directory: ArtifactPath) -> str:
    """The last entry of a page, relative to the directory: any replica can go on from there."""
    relative = "/".join(last.path.segments[len(directory.segments) :])
    return urlsafe_b64encode(relative.encode()).decode()


def _last_seen(page_token: str | None, directory: ArtifactPath) -> str | None:
    if page_token is None:
        return None
    try:
        relative = b64decode(page_token.encode("ascii"), altchars=b"-_", validate=True).decode()
        ArtifactPath.parse(f"{directory}/{relative}".removeprefix("/"))
    except (ValueError, InvalidPath):
        raise InvalidRequest(
            "The page_token is not one that this server gave; list from the start."
        ) from None
    return relative
