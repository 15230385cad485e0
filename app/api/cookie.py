"""The session cookie: the caller's own credential, which a browser keeps for the page.

No script can read it, and the browser sends it along with requests of this site alone. What
it sends all the same for others than the page is refused here. It has no Path, so that of the route that
sets it counts, wherever a reverse proxy shows the server: only what is below its `v1/` gets the cookie.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from starlette.datastructures import Headers
from starlette.requests import Request

from app.api.fetch_metadata import asked_by_own_site
from app.api.hosts import SAFE_METHODS, is_same_origin
from app.errors import InvalidRequest, NotPermitted, Unauthenticated

NAME = "artifact-proxy-session"
LONGEST = 3800
"""Characters of a value: browsers keep a cookie of 4096 bytes, with its name and attributes."""
ROUTE = "/v1/session"
"""Where the cookie is set and taken back. A browser would do neither for answers from other places."""
_VALUE = re.compile("[A-Za-z0-9_-]+")


def secret_of(headers: Headers, method: str) -> str | None:
    """The credential in the cookie; None if there is none, or if another page has it sent.

    Raises `Unauthenticated` for what is no such cookie, and `NotPermitted` for a change that this server's
    page did not ask for: which page does, only Origin says for sure.
    """
    values = _values(headers)
    if not values or not asked_by_own_site(headers):
        return None
    if method not in SAFE_METHODS and not came_from_own_page(headers):
        raise NotPermitted(
            "What changes something by the session cookie must come from the page of this server, with its "
            "Origin; others send their credential in the Authorization header."
        )
    if "origin" in headers and not came_from_own_page(headers):
        return None
    if len(values) > 1:
        # Taken back, the server's own would leave the browser with that of somebody else alone.
        raise Unauthenticated(
            f"There are several cookies {NAME!r}, and which is yours cannot be told: another site of this "
            "domain has set one. Clear the cookies of this site in the browser, and sign in again."
        )
    try:
        return _decoded(values[0])
    except ValueError:
        message = f"The cookie {NAME!r} is not one that this server gave; sign in again."
        raise Unauthenticated(message) from None


def came_from_own_page(headers: Headers) -> bool:
    """Whether Origin says so."""
    origins = headers.getlist("origin")
    return len(origins) == 1 and is_same_origin(origins[0], headers.get("host", ""))


def given(secret: str, request: Request) -> str:
    """Set-Cookie with the credential, until the browser is closed. Raises `InvalidRequest`."""
    value = urlsafe_b64encode(secret.encode()).decode().rstrip("=")
    if len(value) > LONGEST:
        raise InvalidRequest(
            f"The credential takes {len(value)} bytes as a cookie, and browsers keep about {LONGEST}; "
            "use one that is shorter, such as a token with fewer claims."
        )
    return f"{NAME}={value}{_attributes(request)}"


def taken_back(request: Request) -> str:
    """Set-Cookie with which the browser forgets it."""
    return f"{NAME}=; Max-Age=0{_attributes(request)}"


def _attributes(request: Request) -> str:
    return "; HttpOnly; SameSite=Strict" + ("; Secure" if _is_encrypted(request) else "")


def _is_encrypted(request: Request) -> bool:
    """Whether the browser speaks TLS, as far as the reverse proxy tells it, or the page's own address."""
    return request.scope["scheme"] == "https" or request.headers.get("origin", "").startswith("https:")


def _values(headers: Headers) -> list[str]:
    """Of all cookies of this name. Those of others on the same host may be as they like."""
    pairs = [pair for line in headers.getlist("cookie") for pair in line.split(";")]
    named = (pair.strip(" \t").partition("=") for pair in pairs)
    return [value for name, equals, value in named if name == NAME and equals]


def _decoded(value: str) -> str:
    """Raises `ValueError`."""
    if not _VALUE.fullmatch(value):
        raise ValueError(value)
    return urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
