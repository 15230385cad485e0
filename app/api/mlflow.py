"""The mlflow-artifacts routes, as unmodified MLflow clients use them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.admission import Transfer
from app.api.bodies import JsonBodies, body_bytes
from app.api.direct import DirectGateway
from app.api.gateway import Gateway
from app.api.schemas import (
    MlflowFiles,
    MultipartAbort,
    MultipartComplete,
    MultipartCreate,
    MultipartCreated,
    MultipartCredential,
    Presigned,
)
from app.api.target import query_parameter
from app.api.transfer import WholeResponse
from app.errors import FeatureDisabled
from app.paths import ArtifactPath
from app.storage.base import UploadedPart
from app.storage.entry import Entry

PREFIXES = {"": "/api/2.0/mlflow-artifacts", "ajax_": "/ajax-api/2.0/mlflow-artifacts"}
"""The two that MLflow's clients and its page use, by what is put before an operation's name."""
_COMPLETION = 32
"""So many times larger may the body be that completes an upload: MLflow's client gives back what it was
given for each of up to 10 000 parts, long URLs included."""
_LISTING_BYTES = 4 * 1024 * 1024
"""What 16 000 entries take. A listing has no pages, so more may come of it."""
_PART_BYTES = 3400
"""What the URL of a part takes until it is JSON."""
_SECRET = {"Cache-Control": "no-store"}

Step = TypeVar("Step", MultipartCreate, MultipartComplete, MultipartAbort)


def router(
    gateway: Gateway,
    direct: DirectGateway,
    bodies: JsonBodies,
    name_prefix: str,
    *,
    max_json: int,
) -> APIRouter:
    routes = APIRouter(prefix=PREFIXES[name_prefix], tags=["mlflow-artifacts"])
    max_completion = max_json * _COMPLETION if direct.enabled else max_json

    @routes.get(
        "/artifacts",
        response_model=MlflowFiles,
        responses=openapi.problems(),
        openapi_extra={"parameters": [openapi.MLFLOW_DIRECTORY]},
        operation_id=f"{name_prefix}mlflow_list",
        summary="List a directory, whole",
    )
    @routes.head("/artifacts", include_in_schema=False)
    async def list_directory(request: Request) -> Response:
        """Base names, sorted. A file, a missing and an empty directory all list as `{}`."""
        _refuse_workspaces(request)
        directory = ArtifactPath.parse_directory(query_parameter(request, "path") or "")
        listing = await gateway.listing(request, directory, _rendered, memory=_LISTING_BYTES, brief=True)
        return WholeResponse(listing, media_type="application/json")

    @routes.get(
        "/artifacts/{path:path}",
        response_class=Response,
        responses=openapi.DOWNLOADED | openapi.problems(404, 412, 416),
        openapi_extra={"parameters": [openapi.PATH, *openapi.READ_HEADERS]},
        operation_id=f"{name_prefix}mlflow_download",
        summary="Download an artifact",
    )
    async def download(request: Request) -> Response:
        return await gateway.download(request, _path(request))

    @routes.head(
        "/artifacts/{path:path}",
        response_class=Response,
        responses=openapi.without_bodies(openapi.EXAMINED | openapi.problems(404, 412)),
        openapi_extra={"parameters": [openapi.PATH, *openapi.EXAMINE_HEADERS]},
        operation_id=f"{name_prefix}mlflow_examine",
        summary="The headers of a download",
    )
    async def examine(request: Request) -> Response:
        return await gateway.head(request, _path(request))

    @routes.put(
        "/artifacts/{path:path}",
        response_model=openapi.Empty,
        responses=openapi.MLFLOW_UPLOADED | openapi.problems(409, 412, 413, 415, 417, 501, 507),
        openapi_extra=openapi.UPLOAD_BODY | {"parameters": [openapi.PATH, *openapi.WRITE_HEADERS]},
        operation_id=f"{name_prefix}mlflow_upload",
        summary="Upload an artifact",
    )
    async def upload(request: Request) -> Response:
        stored = await gateway.upload(request, _path(request))
        return JSONResponse({}, headers=stored.headers)

    @routes.delete(
        "/artifacts/{path:path}",
        response_model=openapi.Empty,
        responses=openapi.problems(412),
        openapi_extra={"parameters": [openapi.PATH, *openapi.WRITE_CONDITIONS]},
        operation_id=f"{name_prefix}mlflow_delete",
        summary="Delete an artifact or a directory",
    )
    async def delete(request: Request) -> Response:
        await gateway.delete(request, _directory(request, "path"))
        return JSONResponse({})

    def multipart(step: str, body: type[BaseModel], answer: type[BaseModel]) -> dict[str, Any]:
        return {
            "path": f"/mpu/{step}/{{directory:path}}",
            "response_model": answer,
            "responses": openapi.problems(404, 409, 413, 415, 501),
            "openapi_extra": openapi.json_body(body) | {"parameters": [openapi.DIRECTORY]},
            "operation_id": f"{name_prefix}mlflow_multipart_{step}",
            "summary": f"Multipart upload straight to storage: {step}",
        }

    async def asked(request: Request, model: type[Step], limit: int) -> tuple[ArtifactPath, Step, Transfer]:
        """The artifact that is meant, and the body, which is read once the caller may upload there."""
        if "content-length" not in request.headers:
            limit = min(limit, max_json)  # room for the largest is for those who announce that they need it
        directory = _directory(request, "directory")
        transfer = await direct.admit(request, directory, body_bytes(request, limit))
        body = await bodies.read(request, model, limit, transfer)
        return _named(directory, body.path), body, transfer

    @routes.post(**multipart("create", MultipartCreate, MultipartCreated))
    async def multipart_create(request: Request) -> Response:
        """One secret URL for each part. The client puts the parts there, and completes the upload here."""
        path, body, transfer = await asked(request, MultipartCreate, max_json)
        if direct.enabled:
            await transfer.exchange(body.num_parts * _PART_BYTES)
        upload_id, urls = await direct.begin(request, path, body.num_parts)
        credentials = [MultipartCredential(url=url, part_number=number) for number, url in enumerate(urls, 1)]
        created = MultipartCreated(upload_id=upload_id, credentials=credentials)
        # Megabytes for thousands of parts, so not on the event loop.
        content = await asyncio.to_thread(created.model_dump_json)
        transfer.holds(len(content))
        return WholeResponse(content, headers=_SECRET, media_type="application/json")

    @routes.post(**multipart("complete", MultipartComplete, openapi.Empty))
    async def multipart_complete(request: Request) -> Response:
        path, body, _ = await asked(request, MultipartComplete, max_completion)
        parts = [UploadedPart(part.part_number, part.etag) for part in body.parts]
        await direct.complete(request, path, body.upload_id, parts)
        return JSONResponse({})

    @routes.post(**multipart("abort", MultipartAbort, openapi.Empty))
    async def multipart_abort(request: Request) -> Response:
        path, body, _ = await asked(request, MultipartAbort, max_json)
        await direct.abort(request, path, body.upload_id)
        return JSONResponse({})

    @routes.get(
        "/presigned/{path:path}",
        response_model=Presigned,
        responses=openapi.problems(404, 501),
        openapi_extra={"parameters": [openapi.PATH]},
        operation_id=f"{name_prefix}mlflow_presigned",
        summary="A URL to download straight from storage",
    )
    async def presigned(request: Request) -> Response:
        """The URL is secret, and holds for a while."""
        url, entry = await direct.download(request, _path(request))
        assert entry.size is not None
        return JSONResponse(Presigned(url=url, file_size=entry.size).model_dump(), headers=_SECRET)

    return routes


def _directory(request: Request, parameter: str) -> ArtifactPath:
    _refuse_workspaces(request)
    return ArtifactPath.directory_from_url(request.path_params[parameter])


def _named(directory: ArtifactPath, path: str) -> ArtifactPath:
    """The artifact in `directory` that a body means: only the base name of its path counts."""
    return directory / path.rpartition("/")[2]


def _refuse_workspaces(request: Request) -> None:
    """A client that works in a workspace counts on being kept apart from others, which it is not here."""
    workspace = request.headers.get("x-mlflow-workspace")
    if workspace is not None:
        raise FeatureDisabled(
            f"This server has no workspaces, so it cannot serve {workspace!r}; unset MLFLOW_WORKSPACE."
        )


def _path(request: Request) -> ArtifactPath:
    _refuse_workspaces(request)
    return ArtifactPath.from_url(request.path_params["path"])


def _rendered(entries: Iterator[Entry]) -> bytes:
    """The listing as JSON, built piece by piece: MLflow's has no pages, and may be long."""
    files = [_rendered_file(entry) for entry in entries]
    return f'{{"files":[{",".join(files)}]}}'.encode() if files else b"{}"


def _rendered_file(entry: Entry) -> str:
    # By hand, but for what needs to be escaped: there may be a hundred thousand of them.
    name = encode_basestring_ascii(entry.path.name)
    told = '"is_dir":true' if entry.is_dir else f'"is_dir":false,"file_size":{entry.size}'
    return f'{{"path":{name},{told}}}'
