"""The page at /ui and its static files.

Anybody may load them: they hold nothing but the page itself, which asks for all else with a credential.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api.conditions import precondition

PATHS = frozenset({"/", "/ui", "/ui/"})
STATIC = "/ui/static/"
"""Below this are the static files."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types artifact-proxy-preview"
)
"""Content-Security-Policy of the page, and of its scripts, which have their own where they are workers."""

_DIRECTORY = Path(__file__).parents[1] / "ui"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""Not the machine's, on which it would depend whether a browser takes a script for one."""
_TEXT = "text/plain; charset=utf-8"
"""What all else is: licences and notes."""


class _File(NamedTuple):
    content: bytes
    headers: dict[str, str]
    etag: str

    def response(self, request: Request) -> Response:
        """The file, or 304 where the client has this version already.

        Both have all headers, as some browsers replace those that they kept by those of a 304.
        """
        known = precondition(request.headers).none_match
        if known is not None and (known == "*" or self.etag in known):
            return Response(status_code=304, headers=self.headers)
        return Response(self.content, headers=self.headers)


def router() -> APIRouter:
    """Reads the files once: nothing that is put beside them later is served, wherever a path may lead."""
    routes = APIRouter(include_in_schema=False)
    page = _read(_DIRECTORY / "page.html")
    directory = _DIRECTORY / "static"
    files = {
        path.relative_to(directory).as_posix(): _read(path) for path in directory.rglob("*") if path.is_file()
    }

    @routes.get("/ui")
    @routes.head("/ui")
    async def show(request: Request) -> Response:
        return page.response(request)

    @routes.get("/ui/")
    @routes.head("/ui/")
    async def without_slash() -> Response:
        """What is relative in the page is so to where it is without the slash."""
        return RedirectResponse("../ui")

    @routes.get("/")
    @routes.head("/")
    async def start() -> Response:
        return RedirectResponse("ui")

    @routes.get("/ui/static/{path:path}")
    @routes.head("/ui/static/{path:path}")
    async def static(request: Request) -> Response:
        found = files.get(request.path_params["path"])
        if found is None:
            raise HTTPException(404)
        return found.response(request)

    return routes


def _read(path: Path) -> _File:
    content = path.read_bytes()
    etag = sha256(content).hexdigest()
    headers = {
        "Content-Type": _MEDIA_TYPES.get(path.suffix, _TEXT),
        "Content-Security-Policy": POLICY,
        # Kept, but asked about each time, so that all files are of the same version as the page.
        "Cache-Control": "no-cache",
        "ETag": f'"{etag}"',
    }
    return _File(content, headers, etag)
