"""The headers of an artifact's response."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from app.api.conditions import entity_tag, http_date
from app.media_types import media_type
from app.storage.base import Entry, Span

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""For every answer, also for those that are given before there is a request."""
DEFAULT_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of answers that are no pages; a browser that shows one runs nothing of it."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def content_disposition(name: str) -> str:
    """`attachment` with the name as RFC 6266 and 8187 want it: a token, quoted, or extended."""
    if _TOKEN.fullmatch(name):
        return f"attachment; filename={name}"
    ascii_name = "".join(character if character.isascii() else "_" for character in name)
    quoted = ascii_name.replace("\\", "\\\\").replace('"', '\\"')
    plain = f'attachment; filename="{quoted}"'
    return plain if name.isascii() else f"{plain}; filename*=UTF-8''{quote(name, safe='')}"


def artifact_headers(entry: Entry, part: Span | None = None) -> dict[str, str]:
    """For a response with the bytes of `part`, or with all of them; also for HEAD, with none.

    Artifacts come from anybody and may be hostile pages: a browser saves them, and what it shows
    of them all the same may run nothing.
    """
    headers = validators(entry) | {
        "Content-Type": media_type(entry.path.name),
        "Content-Length": str(entry.size if part is None else part.stop - part.start),
        "Content-Disposition": content_disposition(entry.path.name),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Accept-Ranges": "bytes",
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{entry.size}"
    return headers


def validators(entry: Entry) -> dict[str, str]:
    """What a cache needs to revalidate; all that a 304 carries (RFC 9110, section 15.4.5)."""
    headers = {"ETag": entity_tag(entry), "Cache-Control": "no-cache"}
    if entry.modified is not None:
        # Never later than Date (section 8.8.2.1), also when the clock was set back.
        headers["Last-Modified"] = http_date(min(entry.modified, datetime.now(UTC)))
    return headers
