"""What the OpenAPI document says of whole directories: archives and forms."""

from __future__ import annotations

from app.api import openapi
from app.archives.formats import FORMATS

_NAMES = list(FORMATS)
_CONTENT = {archive.media_type: openapi.BINARY for archive in FORMATS.values()}
_OF_MANY = {"Content-MD5", "Content-Digest", "Repr-Digest", "Expect"}

LISTED: openapi.Responses = {
    200: {
        "description": "A page of the listing; or an archive of unknown length, cut off where it fails",
        "content": _CONTENT,
        "headers": openapi.headers(
            Vary="`Accept`",
            Content_Disposition="Of an archive: `attachment` with the directory's name",
            Cache_Control="Of an archive: `no-store`",
            Accept_Ranges="Of an archive: `none`",
        ),
    }
}
WANTED_ARCHIVE = openapi.parameter(
    "archive",
    "All that is below the directory as an archive, instead of a listing; as `Accept` with its media type",
    "query",
    enum=_NAMES,
)

STORED: openapi.Responses = {
    201: {"description": "Stored", "headers": openapi.headers(Location="The directory's URL")}
}
ARCHIVE = openapi.parameter("archive", "The format of the body", "query", enum=_NAMES) | {"required": True}
ARCHIVE_BODY = {
    "requestBody": {"required": True, "description": "The archive", "content": {"*/*": openapi.BINARY}}
}
FORM_BODY = {
    "requestBody": {
        "required": True,
        "description": "Parts with a filename, which may have folders. Parts without one are ignored",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": openapi.BINARY["schema"]}},
                    "required": ["file"],
                }
            }
        },
    }
}
HEADERS_OF_MANY = [
    openapi.parameter("If-None-Match", "Only if none of the artifacts is there yet", enum=["*"]),
    *(header for header in openapi.WRITE_HEADERS if header["name"] in _OF_MANY),
]
