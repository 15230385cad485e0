"""The mlflow-artifacts routes, as unmodified MLflow clients use them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.bodies import read_json
from app.api.gateway import Gateway
from app.api.schemas import MlflowFiles, MultipartAbort, MultipartComplete, MultipartCreate
from app.api.target import query_parameter
from app.errors import FeatureDisabled, NotSupported
from app.paths import ArtifactPath
from app.storage.base import Entry

PREFIXES = {"": "/api/2.0/mlflow-artifacts", "ajax_": "/ajax-api/2.0/mlflow-artifacts"}
"""The two that MLflow's clients and its page use, by what is put before an operation's name."""

# The client compares the beginning of this to fall back on a plain PUT.
NO_MULTIPART_UPLOAD = "Multipart upload is not supported for the current artifact repository"
NO_MULTIPART_DOWNLOAD = "Multipart download is not supported for the current artifact repository"


def router(gateway: Gateway, name_prefix: str) -> APIRouter:
    routes = APIRouter(prefix=PREFIXES[name_prefix], tags=["mlflow-artifacts"])

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
        return Response(await gateway.listing(directory, _rendered), media_type="application/json")

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
        openapi_extra={"parameters": [openapi.PATH, *openapi.READ_CONDITIONS]},
        operation_id=f"{name_prefix}mlflow_examine",
        summary="The headers of a download",
    )
    async def examine(request: Request) -> Response:
        return await gateway.head(request, _path(request))

    @routes.put(
        "/artifacts/{path:path}",
        response_model=openapi.Empty,
        responses=openapi.MLFLOW_UPLOADED | openapi.problems(409, 412, 415, 417, 501, 507),
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

    def multipart(step: str, body: type[BaseModel]) -> None:
        @routes.post(
            f"/mpu/{step}/{{directory:path}}",
            status_code=501,
            responses=openapi.problems(413, 415, 501),
            openapi_extra=openapi.json_body(body) | {"parameters": [openapi.DIRECTORY]},
            operation_id=f"{name_prefix}mlflow_multipart_{step}",
            summary=f"Multipart upload straight to storage: {step}",
        )
        async def multipart_step(request: Request) -> Response:
            _directory(request, "directory")
            await read_json(request, body)
            raise NotSupported(NO_MULTIPART_UPLOAD)

    multipart("create", MultipartCreate)
    multipart("complete", MultipartComplete)
    multipart("abort", MultipartAbort)

    @routes.get(
        "/presigned/{path:path}",
        status_code=501,
        responses=openapi.problems(501),
        openapi_extra={"parameters": [openapi.PATH]},
        operation_id=f"{name_prefix}mlflow_presigned",
        summary="A URL to download straight from storage",
    )
    async def presigned(request: Request) -> Response:
        _path(request)
        raise NotSupported(NO_MULTIPART_DOWNLOAD)

    return routes


def _directory(request: Request, parameter: str) -> ArtifactPath:
    _refuse_workspaces(request)
    return ArtifactPath.directory_from_url(request.path_params[parameter])


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
    return b'{"files":[' + b",".join(files) + b"]}" if files else b"{}"


def _rendered_file(entry: Entry) -> bytes:
    file: dict[str, object] = {"path": entry.path.name, "is_dir": entry.is_dir}
    if not entry.is_dir:
        file["file_size"] = entry.size
    return json.dumps(file, separators=(",", ":")).encode()
