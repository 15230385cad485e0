"""What the OpenAPI document says beyond the JSON bodies: headers, byte bodies, error responses."""

from __future__ import annotations

from typing import Any, TypeAlias

from fastapi import FastAPI
from pydantic import BaseModel

from app.api import cookie
from app.api.schemas import DEFAULT_RESULTS, MAX_RESULTS, Problem, ReadinessReport, StoredArtifact
from app.api.visits import PUBLIC

Responses: TypeAlias = dict[int | str, dict[str, Any]]


def headers(**descriptions: str) -> dict[str, Any]:
    """Headers of a response."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in descriptions.items()
    }


def _problem(description: str, **told: str) -> dict[str, Any]:
    documented: dict[str, Any] = {"model": Problem, "description": description}
    return documented | {"headers": headers(**told)} if told else documented


PROBLEMS = {
    400: _problem(
        "The path, a parameter, a header or the body is invalid; or a file was meant and it is a directory"
    ),
    401: _problem(
        "The credential is missing, not known or expired",
        WWW_Authenticate="`Bearer`, and `Basic`; for `X-Requested-With: XMLHttpRequest` the first alone",
    ),
    403: _problem("The caller's permissions, the server's mode, or its storage do not allow this"),
    404: _problem("There is no such artifact"),
    408: _problem("The body came too slowly"),
    409: _problem("The path is a directory with content, or one of its parents is a file"),
    412: _problem("If-Match, If-None-Match or If-Unmodified-Since does not hold"),
    413: _problem("The body is too large"),
    415: _problem("The body's Content-Type or Content-Encoding is not accepted"),
    416: _problem(
        "The range holds no byte of the artifact", Content_Range="`bytes */` and the size in bytes"
    ),
    417: _problem("The expectation in Expect is not known"),
    421: _problem("The server is not called by the name in Host"),
    429: _problem("The caller has sent too many requests, or has too many transfers", Retry_After="Seconds"),
    500: _problem("The storage failed"),
    501: _problem("The artifact root's storage has no such power"),
    502: _problem("The storage cannot be reached, or gave a senseless answer"),
    503: _problem(
        "The storage is not available, the server is busy, or the caller's issuer cannot be asked",
        Retry_After="Seconds",
    ),
    504: _problem("The storage did not answer in time"),
    507: _problem("The storage, or the quota of a directory, is full"),
}
NOT_READY: Responses = {
    503: {
        "model": ReadinessReport,
        "description": "A check fails",
        "headers": headers(Retry_After="Seconds"),
    }
}
_PARSING = {
    414: _problem("The request target is too long"),
    431: _problem("The request's head is too large"),
}
_OF_ALL = _PARSING | {400: PROBLEMS[400]}
_OF_CALLERS = {status: PROBLEMS[status] for status in (401, 421, 429, 503)}
_OF_BODIES = {408: PROBLEMS[408]}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token, or a JWT of an OpenID provider"},
    "basic": {"type": "http", "scheme": "basic", "description": "Any user name, and a token as the password"},
}
_SESSION = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookie.NAME,
        "description": "For the page at /ui. Changes need its Origin",
    }
}
_REFERENCE = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

BINARY = {"schema": {"type": "string", "format": "binary"}}
UPLOAD_BODY = {
    "requestBody": {"required": True, "description": "The artifact's bytes", "content": {"*/*": BINARY}}
}

VALIDATORS = headers(
    ETag="Strong; other bytes have another one",
    Last_Modified="Time of the last upload",
    Cache_Control="`no-cache`: keep, but revalidate",
)
CONTENT = VALIDATORS | headers(
    Content_Length="Bytes in this response",
    Content_Disposition="`attachment` with the artifact's name",
    Accept_Ranges="`bytes`",
    Content_Security_Policy="`sandbox; default-src 'none'`: an artifact is never a page",
    X_Content_Type_Options="`nosniff`",
)
STORED = headers(ETag="Of the stored artifact", Repr_Digest="If Want-Repr-Digest asked for it")
CREATED = STORED | headers(Location="The artifact's URL")
UPLOADED: Responses = {
    200: {"model": StoredArtifact, "description": "An artifact was replaced", "headers": STORED},
    201: {"description": "An artifact was created", "headers": CREATED},
}
MLFLOW_UPLOADED: Responses = {200: {"description": "Stored", "headers": STORED}}
DOWNLOADED: Responses = {
    200: {"description": "The artifact", "content": {"*/*": BINARY}, "headers": CONTENT},
    206: {
        "description": "The range that was asked for",
        "content": {"*/*": BINARY},
        "headers": CONTENT | headers(Content_Range="`bytes first-last/size`"),
    },
    304: {"description": "The client has this version", "headers": VALIDATORS},
    307: {
        "description": "The artifact is at another URL for a while",
        "headers": headers(Location="Secret"),
    },
}
SIGNED_IN: Responses = {
    204: {
        "description": "The browser has the credential, or needs none",
        "headers": headers(Set_Cookie="The session cookie. Secret"),
    }
}
SIGNED_OUT: Responses = {
    204: {
        "description": "The browser has none any more",
        "headers": headers(Set_Cookie="An empty one that has expired"),
    }
}
LOGGED_IN: Responses = {303: {"description": "The caller is known", "headers": headers(Location="The page")}}
EXAMINED: Responses = {
    200: {
        "description": "The headers of GET",
        "headers": CONTENT | headers(Repr_Digest="If Want-Repr-Digest asked for it"),
    },
    304: DOWNLOADED[304],
}


class Empty(BaseModel):
    """`{}`"""


def parameter(name: str, description: str, where: str = "header", **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": {"type": "string"} | schema,
    }


PATH = parameter("path", "The artifact's path, percent-encoded once; slashes stand for themselves", "path")
DIRECTORY = parameter("directory", "The directory's path, percent-encoded once", "path")
MLFLOW_DIRECTORY = parameter("path", "The directory; the root if it is empty or absent", "query")
VIEW = parameter(
    "view", "`frame`: to be shown in a frame of the page, with nothing in it running", "query", enum=["frame"]
)
LISTING_PARAMETERS = [
    parameter(
        "recursive", "Artifacts at any depth instead of one level", "query", type="boolean", default=False
    ),
    parameter(
        "max_results",
        "Entries on a page",
        "query",
        type="integer",
        minimum=1,
        maximum=MAX_RESULTS,
        default=DEFAULT_RESULTS,
    ),
    parameter("page_token", "`next_page_token` of the page before", "query"),
    parameter("actions", "Tell what the caller may do", "query", type="boolean", default=False),
]

IF_MATCH = parameter("If-Match", "ETags, or `*`: only if the artifact is one of these")
IF_NONE_MATCH = parameter("If-None-Match", "ETags, or `*`: only if the artifact is none of these")
IF_UNMODIFIED_SINCE = parameter("If-Unmodified-Since", "Only if not modified since this date")
READ_CONDITIONS = [
    IF_MATCH,
    IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE,
    parameter("If-Modified-Since", "Only if modified since this date"),
]
EXAMINE_HEADERS = [
    *READ_CONDITIONS,
    parameter("Want-Repr-Digest", "`sha-256=1`: read the artifact, and give its digest"),
]
READ_HEADERS = [
    *READ_CONDITIONS,
    parameter("Range", "One range of bytes, such as `bytes=0-99`, `bytes=100-` or `bytes=-100`"),
    parameter("If-Range", "A strong ETag: the range only of this version, else the whole"),
]
WRITE_CONDITIONS = [IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE]
WRITE_HEADERS = [
    *WRITE_CONDITIONS,
    parameter("Content-MD5", "MD5 of the body in base64, verified before the artifact appears"),
    parameter("Content-Digest", "`sha-256=:<base64>:` or `sha-512=:<base64>:`, verified likewise"),
    parameter("Repr-Digest", "As Content-Digest"),
    parameter("Want-Repr-Digest", "`sha-256=1`: give the digest of what was stored"),
    parameter("Expect", "`100-continue`: judge the request before the body is sent"),
]


def problems(*statuses: int) -> Responses:
    """The error responses of a route: those named, and those that every use of storage can have."""
    return {status: PROBLEMS[status] for status in (*statuses, 400, 403, 500, 502, 503, 504)}


def without_bodies(responses: Responses) -> Responses:
    """The same for HEAD."""
    return {
        status: {key: value for key, value in response.items() if key != "model"}
        for status, response in responses.items()
    }


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A request body that the route reads by itself, to judge it more strictly than the framework."""
    schema = model.model_json_schema()
    schema = _without_references(schema, schema.pop("$defs", {}))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _without_references(schema: Any, definitions: dict[str, Any]) -> Any:
    """The schema in one piece, because it stands where its definitions cannot be referred to."""
    if isinstance(schema, list):
        return [_without_references(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _without_references(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _without_references(part, definitions) for key, part in schema.items()}


def install(app: FastAPI) -> None:
    """Completes the document of `app` by what holds for every route: who may ask, and how that is refused."""
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            _complete(generate())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI documents it


def _complete(document: dict[str, Any]) -> None:
    schemes = _SCHEMES | (_SESSION if "/v1/session" in document["paths"] else {})
    document["components"]["securitySchemes"] = schemes
    document["security"] = [{scheme: []} for scheme in schemes]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            general = _OF_ALL | ({} if path in PUBLIC else _OF_CALLERS)
            if "requestBody" in operation:
                general |= _OF_BODIES
            if path in PUBLIC:
                operation["security"] = []
            for status, response in general.items():
                described = {key: value for key, value in response.items() if key != "model"}
                if method != "head":
                    described["content"] = _REFERENCE
                operation["responses"].setdefault(str(status), described)
            operation["responses"] = dict(sorted(operation["responses"].items()))
