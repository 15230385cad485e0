"""Who asks: the credentials of a request, and the layer that lets nobody pass without them."""

from __future__ import annotations

import binascii
from base64 import b64decode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import cookie, problems
from app.api.forwarded import peer_of
from app.api.limits import Limits
from app.api.visit import Visit, visit_of
from app.errors import ArtifactError, NotPermitted, Unauthenticated
from app.identity import proxy_header
from app.identity.base import Credentials
from app.identity.identities import Identities


class Authentication:
    def __init__(self, app: ASGIApp, identities: Identities, limits: Limits, *, cookies: bool) -> None:
        """`cookies`: whether the session cookie is a credential, too."""
        self._app = app
        self._cookies = cookies and identities.required
        self._identities = identities
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (visit := visit_of(scope)).public:
            credentials = self._credentials(scope, visit)
            if visit.by_cookie:
                send = _kept_private(send)
            try:
                visit.identity = await self._identities.identify(credentials)
                visit.by_cookie &= visit.identity.kind != proxy_header.KIND
                self._limits.take_request(visit.identity)
            except ArtifactError as error:
                await _refused(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _credentials(self, scope: Scope, visit: Visit) -> Credentials:
        headers = Headers(scope=scope)
        named = {name: [_text(value) for value in headers.getlist(name)] for name in self._identities.headers}
        secret = fault = None
        try:
            secret = secret_of(headers)
            if secret is None and self._cookies:
                secret = cookie.secret_of(headers, scope["method"])
                visit.by_cookie = secret is not None
        except (Unauthenticated, NotPermitted) as error:
            # It may be meant for the reverse proxy, which names the caller in another header.
            fault = error
        return Credentials(
            peer=peer_of(scope) or "",
            secret=secret,
            fault=fault,
            headers={
                name: values[0] if len(values) == 1 else None for name, values in named.items() if values
            },
        )


def _refused(request: Request, error: ArtifactError) -> Response:
    """A cookie that is worth nothing any more is taken back where the page asks who its user is."""
    response = problems.answer(request, error)
    worthless = isinstance(error, Unauthenticated) and visit_of(request).by_cookie
    if worthless and request.scope["raw_path"].endswith(cookie.ROUTE.encode()):
        response.headers["Set-Cookie"] = cookie.taken_back(request)
    return response


def _kept_private(send: Send) -> Send:
    """What Authorization does by itself (RFC 9111, section 3.5): no shared cache keeps the answer."""

    async def answered(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            kept = headers.get("cache-control", "no-cache")
            headers["Cache-Control"] = kept if "no-store" in kept else f"private, {kept}"
            message["headers"] = headers.raw
        await send(message)

    return answered


def _text(value: str) -> str | None:
    """A header's value as the proxy meant it, which is in UTF-8; None for what is not."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None


def secret_of(headers: Headers) -> str | None:
    """The token of a Bearer, or the password of a Basic credential; None without any.

    Raises `Unauthenticated` for what is neither (RFC 6750, section 2.1; RFC 7617, section 2).
    """
    values = headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        raise Unauthenticated("There are several Authorization headers; send one.")
    scheme, _, credential = values[0].partition(" ")
    credential = credential.strip(" ")
    if scheme.lower() == "bearer" and credential:
        return credential
    if scheme.lower() == "basic":
        return _password(credential)
    raise Unauthenticated("The Authorization header is neither Bearer nor Basic with a credential.")


def _password(credential: str) -> str:
    try:
        text = b64decode(credential.encode("ascii"), validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise Unauthenticated("The Basic credential is not base64 of UTF-8.") from None
    _, colon, password = text.partition(":")
    if not colon or not password or "\x00" in text:
        raise Unauthenticated("The Basic credential is no user name, colon and password.")
    return password
