"""Whether a request for a directory means its listing or an archive of it (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re

from starlette.requests import Request

from app.api import openapi
from app.api.target import query_parameter
from app.archives.formats import FORMATS, ArchiveFormat
from app.errors import InvalidRequest

_JSON = "application/json"
_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_OF_LISTINGS = tuple(parameter["name"] for parameter in openapi.LISTING_PARAMETERS)


def wanted_archive(request: Request) -> ArchiveFormat | None:
    """The format in which a directory is asked for; None for its listing.

    What the query says wins over Accept. Raises `InvalidRequest` for a format that is not known, and for
    what only a listing has.
    """
    wanted = named_archive(request) or _preferred(request.headers.getlist("accept"))
    if wanted is not None:
        for name in _OF_LISTINGS:
            if query_parameter(request, name) is not None:
                raise InvalidRequest(
                    f"An archive has no {name}: it holds all that is below the directory; leave {name} out, "
                    "or ask for the listing."
                )
    return wanted


def named_archive(request: Request) -> ArchiveFormat | None:
    """The format that the query names. Raises `InvalidRequest` for one that is not known."""
    name = query_parameter(request, "archive") if request.scope["query_string"] else None
    if name is not None and name not in FORMATS:
        raise InvalidRequest(f"archive={name!a} is not known; known are {' and '.join(FORMATS)}.")
    return None if name is None else FORMATS[name]


def _preferred(accept: list[str]) -> ArchiveFormat | None:
    """What is wanted more than the listing, and most; in doubt the listing."""
    if not any(archive.media_type in value.lower() for archive in FORMATS.values() for value in accept):
        return None
    weights = dict(_weighed(media_range) for media_range in ",".join(accept).split(","))

    def weight(media_type: str) -> float:
        general = media_type.partition("/")[0] + "/*"
        return next((weights[name] for name in (media_type, general, "*/*") if name in weights), 0)

    best = max(FORMATS.values(), key=lambda archive: weight(archive.media_type))
    return best if weight(best.media_type) > weight(_JSON) else None


def _weighed(media_range: str) -> tuple[str, float]:
    """A media range of Accept and its weight, which is nothing where it makes no sense."""
    name, *parameters = (part.strip() for part in media_range.lower().split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name, float(value) if _WEIGHT.fullmatch(value.strip()) else 0
    return name, 1
