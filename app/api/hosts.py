"""What browsers could be misused for: other hosts' names, other sites' pages, credentials in URLs."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api import problems
from app.api.visit import visit_of
from app.errors import ArtifactError, InvalidRequest, MisdirectedRequest, NotPermitted

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
_LONGEST_HOST = 300
"""A name of DNS has at most 253 characters."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CREDENTIALS = {
    *("access_token", "id_token", "refresh_token", "token", "auth", "authorization", "bearer", "jwt"),
    *("api_key", "apikey", "api-key", "password", "passwd", "secret", "client_secret", "credential"),
    *("credentials", "signature", "sig", "x-amz-signature", "x-amz-credential", "x-amz-security-token"),
}


class Hosts:
    """Lets only those requests in that are for this server, and that no foreign page has made."""

    def __init__(
        self, app: ASGIApp, allowed: list[str], judged: Callable[[], bool], origins: list[str]
    ) -> None:
        """`allowed`: the host names, which are all that are served while `judged` says so.

        `origins`: whose pages may change artifacts.
        """
        self._app = app
        self._allowed = [name.lower().rstrip(".") for name in allowed]
        self._judged = judged
        self._origins = frozenset(origins)
        self._is_own = lru_cache(maxsize=256)(self._judge_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._judge(scope, Headers(scope=scope))
            except ArtifactError as error:
                await problems.answer(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _judge(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        if not visit_of(scope).any_host:
            self._require_own(host)
        _refuse_credentials(scope["query_string"])
        if scope["method"] not in SAFE_METHODS:
            self._require_friend(headers.getlist("origin"), host)

    def _require_own(self, host: str) -> None:
        """Else a page could have its own name mean this server, and read it as its own (DNS rebinding)."""
        if not self._judged():
            return
        if len(host) > _LONGEST_HOST or not self._is_own(host):
            raise MisdirectedRequest(
                f"The host {host[:100]!a} is not served here; who runs this server can add it to "
                "--allowed-hosts."
            )

    def _judge_host(self, host: str) -> bool:
        name = _name(host)
        return name is not None and any(_fits(name, allowed) for allowed in self._allowed)

    def _require_friend(self, given: list[str], host: str) -> None:
        for origin in given:
            if origin not in self._origins and not (len(given) == 1 and is_same_origin(origin, host)):
                raise NotPermitted(
                    f"Pages of {origin[:100]!a} may change nothing here; who runs this server can add it to "
                    "--cors-allowed-origins."
                )


def _fits(name: str, allowed: str) -> bool:
    if allowed == ANY_ADDRESS:
        return _is_address(name)
    if allowed.startswith("*."):
        return name.endswith(allowed[1:])
    return allowed in {"*", name}


ANY_ADDRESS = "*address"
"""Stands for all IP addresses: what asks for one cannot have been led here by a name."""


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _name(host: str) -> str | None:
    """The name in a Host header, in lower case and without its port; None if there is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.hostname is None or parts.username is not None or parts.netloc != host:
        return None
    name = parts.hostname.rstrip(".")
    return f"[{name}]" if ":" in name else name


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` is one of this server's own.

    The scheme may differ, because not every reverse proxy tells it; the port may not. What has more than
    these three is no origin.
    """
    try:
        page, own = urlsplit(origin), urlsplit(f"//{host}")
        default = _DEFAULT_PORTS.get(page.scheme)
        return (
            default is not None
            and page.hostname is not None
            and page.username is None
            and origin == f"{page.scheme}://{page.netloc}"
            and (page.hostname, page.port or default) == (own.hostname, own.port or default)
        )
    except ValueError:
        return False


def _refuse_credentials(query: bytes) -> None:
    """Queries stand in logs and histories everywhere on the way."""
    for part in query.split(b"&"):
        name = unquote(part.partition(b"=")[0].decode("latin-1")).lower()
        if name in _CREDENTIALS:
            raise InvalidRequest(
                f"The query parameter {name!r} is for credentials, which belong in the Authorization header; "
                "take this one as revealed."
            )
