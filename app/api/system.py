"""Routes about the server itself: health, version, server-info."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app import __version__
from app.api.schemas import ServerInfo


def router(*, direct: bool) -> APIRouter:
    """`direct`: whether clients may transfer straight to and from storage."""
    routes = APIRouter(tags=["system"])

    @routes.get("/health", response_class=PlainTextResponse, summary="Whether the process is alive")
    @routes.head("/health", include_in_schema=False)
    async def health() -> Response:
        return PlainTextResponse("OK")

    @routes.get("/version", response_class=PlainTextResponse, summary="The version of this server")
    @routes.head("/version", include_in_schema=False)
    async def version() -> Response:
        return PlainTextResponse(__version__)

    @routes.get(
        "/ajax-api/3.0/mlflow/server-info", response_model=ServerInfo, operation_id="ajax_server_info"
    )
    @routes.get("/api/3.0/mlflow/server-info", response_model=ServerInfo, operation_id="server_info")
    @routes.head("/ajax-api/3.0/mlflow/server-info", include_in_schema=False)
    @routes.head("/api/3.0/mlflow/server-info", include_in_schema=False)
    async def server_info() -> Response:
        """What MLflow clients ask before they choose how to transfer; see `ServerInfo`."""
        return JSONResponse(
            ServerInfo(multipart_uploads_enabled=direct, multipart_downloads_enabled=direct).model_dump()
        )

    return routes
