"""The page at /docs that shows /openapi.json, with its scripts served from here.

The framework's own page loads them from a public network, which closed networks do not reach.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_STATIC = Path(fastapi_offline.__file__).with_name("static")


def install(app: FastAPI) -> None:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    @routes.head("/docs")
    async def docs(request: Request) -> Response:
        root_path = request.scope["root_path"]
        static = f"{root_path}/docs/static"
        return get_swagger_ui_html(
            openapi_url=f"{root_path}/openapi.json",
            title=app.title,
            swagger_js_url=f"{static}/swagger-ui-bundle.js",
            swagger_css_url=f"{static}/swagger-ui.css",
            swagger_favicon_url=f"{static}/favicon.png",
        )

    app.include_router(routes)
    app.mount("/docs/static", StaticFiles(directory=_STATIC))
