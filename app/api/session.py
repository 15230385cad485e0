"""Who the page's user is: asking, signing in and out."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from app.api import cookie, openapi
from app.api.authentication import secret_of
from app.api.schemas import Session
from app.api.visit import visit_of
from app.errors import NotPermitted
from app.identity import proxy_header
from app.identity.base import ANYBODY, Identity

_UNKEPT = {"Cache-Control": "no-store"}


def router() -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["session"])

    @routes.get("/session", response_model=Session, operation_id="session", summary="Who the caller is")
    @routes.head("/session", include_in_schema=False)
    async def tell(request: Request) -> Response:
        visit = visit_of(request)
        who = _identity(request)
        body = Session(identity=who.name or None, kind=who.kind, cookie=visit.by_cookie)
        return JSONResponse(body.model_dump(), headers=_UNKEPT)

    @routes.put(
        "/session",
        status_code=204,
        response_class=Response,
        responses=openapi.SIGNED_IN | {403: openapi.PROBLEMS[403]},
        operation_id="sign_in",
        summary="Have the browser keep the credential",
    )
    async def sign_in(request: Request) -> Response:
        """Sets a cookie with the credential that is in Authorization.

        There is none where the caller is known without it: where nobody is asked, or a reverse proxy tells.
        """
        if "origin" in request.headers and not cookie.came_from_own_page(request.headers):
            raise NotPermitted("Only this server's own page signs its users in.")
        who = _identity(request)
        secret = secret_of(request.headers)
        response = Response(status_code=204, headers=_UNKEPT)
        if secret is not None and who is not ANYBODY and who.kind != proxy_header.KIND:
            response.headers["Set-Cookie"] = cookie.given(secret, request)
        return response

    @routes.delete(
        "/session",
        status_code=204,
        response_class=Response,
        responses=openapi.SIGNED_OUT | {403: openapi.PROBLEMS[403]},
        operation_id="sign_out",
        summary="Have the browser forget the credential",
    )
    async def sign_out(request: Request) -> Response:
        return Response(status_code=204, headers=_UNKEPT | {"Set-Cookie": cookie.taken_back(request)})

    @routes.get(
        "/login",
        status_code=303,
        response_class=Response,
        responses=openapi.LOGGED_IN,
        operation_id="login",
        summary="Have the browser ask for a Basic credential",
    )
    @routes.head("/login", include_in_schema=False)
    async def login() -> Response:
        """Leads to the page. Whoever is not known gets 401 before, at which a browser asks its user."""
        return RedirectResponse("../ui", 303, _UNKEPT)

    return routes


def _identity(request: Request) -> Identity:
    identity = visit_of(request).identity
    assert identity is not None, "no request comes here past the authentication"
    return identity
