"""What browsers keep, and what our clients do not."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from http.cookiejar import CookieJar, DefaultCookiePolicy

from app.api.cookie import NAME


def no_cookies() -> CookieJar:
    """For a client that tests share, whose servers are all on one host."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def kept(secret: str) -> dict[str, str]:
    """The header of a browser that keeps the credential for the page."""
    return {"Cookie": f"{NAME}={encoded(secret)}"}


def encoded(secret: str | bytes) -> str:
    """The value of the cookie."""
    octets = secret.encode() if isinstance(secret, str) else secret
    return urlsafe_b64encode(octets).decode().rstrip("=")
