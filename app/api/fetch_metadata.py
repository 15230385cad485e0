"""What a browser tells of why it asks (Fetch Metadata): the Sec-Fetch headers, which no page can set.

Other clients have none, and browsers leave them out where they hold a page for insecure: over plain HTTP,
except on the machine itself.
"""

from __future__ import annotations

from starlette.datastructures import Headers

from app.errors import NotPermitted

_OWN_SITES = {"same-origin", "none"}
_DATA = {"audio", "document", "empty", "frame", "iframe", "image", "track", "video"}
"""What artifacts are loaded for: to be saved, shown, or read by a page that may. The rest runs, or styles,
or comes new to browsers."""


def asked_by_own_site(headers: Headers) -> bool:
    """Whether this server's page asks, the user by hand, or no browser that would tell."""
    return _OWN_SITES.issuperset(headers.getlist("sec-fetch-site"))


def refuse_as_code(headers: Headers) -> None:
    """Raises `NotPermitted` where a page would run an artifact, whoever has stored it.

    For a page of this server they are of its own origin, and so would pass for its own scripts.
    """
    for destination in headers.getlist("sec-fetch-dest"):
        if destination not in _DATA:
            raise NotPermitted(
                f"A page wants this as {destination[:30]!a}, and artifacts are data: they are downloaded, or "
                "shown as images, sound and video, but never run."
            )
