"""The headers of an artifact's response."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from app.api.conditions import entity_tag, http_date
from app.archives.formats import ArchiveFormat
from app.media_types import media_type
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.ranges import Span

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

NEGOTIATED = {"Vary": "Accept"}
"""For whatever a directory is asked for."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def content_disposition(name: str) -> str:
    """`attachment` with the name as RFC 6266 and 8187 want it: a token, quoted, or extended.

    Browsers take a "%" in a plain name for an escape, whatever the RFC says.
    """
    escaped = "%" in name
    if _TOKEN.fullmatch(name) and not escaped:
        return f"attachment; filename={name}"
    ascii_name = "".join(character if character.isascii() else "_" for character in name)
    quoted = ascii_name.replace("\\", "\\\\").replace('"', '\\"')
    plain = f'attachment; filename="{quoted}"'
    return plain if name.isascii() and not escaped else f"{plain}; filename*=UTF-8''{quote(name, safe='')}"


FRAMED = {
    "Content-Disposition": "inline",
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
}
"""For an artifact that this server's own page shows in a frame, where it runs nothing and loads nothing."""


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


def archive_headers(directory: ArtifactPath, archive: ArchiveFormat) -> dict[str, str]:
    """For a directory as an archive, which is another one each time."""
    return {
        "Content-Type": archive.media_type,
        "Content-Disposition": content_disposition(f"{directory.name or 'artifacts'}.{archive.name}"),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "no-store",
        "Accept-Ranges": "none",
        **NEGOTIATED,
    }


def validators(entry: Entry) -> dict[str, str]:
    """What a cache needs to revalidate; all that a 304 carries (RFC 9110, section 15.4.5)."""
    headers = {"ETag": entity_tag(entry), "Cache-Control": "no-cache"}
    if entry.modified is not None:
        # Never later than Date (section 8.8.2.1), also when the clock was set back.
        headers["Last-Modified"] = http_date(min(entry.modified, datetime.now(UTC)))
    return headers
