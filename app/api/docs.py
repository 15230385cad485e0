"""The page at /docs that shows /openapi.json, with its scripts served from here.

The framework's own page loads them from a public network, which closed networks do not reach.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

_STATIC = Path(fastapi_offline.__file__).with_name("static")
_INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def _policy(page: str) -> str:
    """Lets the page run its own scripts and nothing else, neither from elsewhere nor from what it shows."""
    hashes = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in _INLINE.findall(page)
    )
    return (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def install(app: FastAPI) -> None:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    @routes.head("/docs")
    async def docs(request: Request) -> Response:
        root_path = request.scope["root_path"]
        static = f"{root_path}/docs/static"
        page = get_swagger_ui_html(
            openapi_url=f"{root_path}/openapi.json",
            title=app.title,
            swagger_js_url=f"{static}/swagger-ui-bundle.js",
            swagger_css_url=f"{static}/swagger-ui.css",
            swagger_favicon_url=f"{static}/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
        return page

    app.include_router(routes)
    app.mount("/docs/static", StaticFiles(directory=_STATIC))
