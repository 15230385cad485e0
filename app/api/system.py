"""Routes about the server itself: health, readiness, metrics, version, server-info."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app import __version__, metrics
from app.api.openapi import NOT_READY
from app.api.problems import RETRY_AFTER_SECONDS
from app.api.readiness import Readiness
from app.api.schemas import ReadinessCheck, ReadinessReport, ServerInfo


def router(readiness: Readiness, *, direct: bool) -> APIRouter:
    """`direct`: whether clients may transfer straight to and from storage."""
    routes = APIRouter(tags=["system"])

    @routes.get("/health", response_class=PlainTextResponse, summary="Whether the process is alive")
    @routes.head("/health", include_in_schema=False)
    async def health() -> Response:
        return PlainTextResponse("OK")

    @routes.get(
        "/ready",
        response_model=ReadinessReport,
        responses=NOT_READY,
        summary="Whether requests had better be sent here",
    )
    @routes.head("/ready", include_in_schema=False)
    async def ready() -> Response:
        checks = {
            name: ReadinessCheck(ok=made.ok, seconds=round(made.seconds, 6), message=made.message)
            for name, made in (await readiness.outcomes()).items()
        }
        well = all(check.ok for check in checks.values())
        report = ReadinessReport(status="ready" if well else "not ready", checks=checks)
        headers = {"Cache-Control": "no-store"} | ({} if well else {"Retry-After": RETRY_AFTER_SECONDS})
        return JSONResponse(report.model_dump(), 200 if well else 503, headers)

    @routes.get("/metrics", response_class=PlainTextResponse, summary="What Prometheus asks for")
    @routes.head("/metrics", include_in_schema=False)
    async def exposition(request: Request) -> Response:
        readiness.follow()
        text, media_type = await asyncio.to_thread(metrics.exposed, request.headers.get("accept", ""))
        return Response(text, headers={"Cache-Control": "no-store", "Content-Type": media_type})

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
