"""The one table from errors to answers: status, MLflow's error code, headers, JSON body.

MLflow clients repeat 408, 429, 500, 502, 503 and 504 for minutes, uploads included. So a fault
that stays is never one of these.
"""

from __future__ import annotations

import logging
from math import ceil
from typing import NamedTuple, get_args

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Mount

from app import errors, metrics
from app.api.fetch_metadata import asked_by_own_site
from app.api.visit import visit_of
from app.storage.ranges import RangeNotSatisfiable

logger = logging.getLogger(__name__)

for _lacking in get_args(errors.Lacking):
    metrics.SHED.labels(_lacking)  # shown from the start, as the first of a kind is an increase too
RETRY_AFTER_SECONDS = "5"
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
"""All that any route has; OPTIONS is answered for every route, here."""
_FILE_METHODS = {"GET", "HEAD"}
"""Those of files below a mount, which itself matches every method."""

_BASIC = 'Basic realm="artifact-proxy", charset="UTF-8"'
_BEARER = 'Bearer realm="artifact-proxy"'


class Answer(NamedTuple):
    status: int
    code: str


TABLE: dict[type[errors.ArtifactError], Answer] = {
    errors.InvalidRequest: Answer(400, "INVALID_PARAMETER_VALUE"),
    errors.UnsupportedMediaType: Answer(415, "INVALID_PARAMETER_VALUE"),
    errors.RequestTooLarge: Answer(413, "INVALID_PARAMETER_VALUE"),
    errors.ExpectationFailed: Answer(417, "INVALID_PARAMETER_VALUE"),
    errors.FeatureDisabled: Answer(400, "FEATURE_DISABLED"),
    errors.MisdirectedRequest: Answer(421, "INVALID_PARAMETER_VALUE"),
    errors.Unauthenticated: Answer(401, "UNAUTHENTICATED"),
    errors.ArtifactNotFound: Answer(404, "RESOURCE_DOES_NOT_EXIST"),
    errors.UploadNotFound: Answer(404, "RESOURCE_DOES_NOT_EXIST"),
    errors.ArtifactIsDirectory: Answer(400, "INVALID_PARAMETER_VALUE"),
    errors.PathConflict: Answer(409, "RESOURCE_ALREADY_EXISTS"),
    errors.PreconditionFailed: Answer(412, "INVALID_STATE"),
    RangeNotSatisfiable: Answer(416, "INVALID_PARAMETER_VALUE"),
    errors.NotPermitted: Answer(403, "PERMISSION_DENIED"),
    errors.NotSupported: Answer(501, "NOT_IMPLEMENTED"),
    errors.UploadInterrupted: Answer(400, "INVALID_PARAMETER_VALUE"),
    errors.TransferTooSlow: Answer(408, "REQUEST_LIMIT_EXCEEDED"),
    errors.QuotaExceeded: Answer(507, "QUOTA_EXCEEDED"),
    errors.TryLater: Answer(503, "TEMPORARILY_UNAVAILABLE"),
    errors.TooManyRequests: Answer(429, "REQUEST_LIMIT_EXCEEDED"),
    errors.StorageError: Answer(500, "INTERNAL_ERROR"),
    errors.StorageFull: Answer(507, "QUOTA_EXCEEDED"),
    errors.StorageUnavailable: Answer(503, "TEMPORARILY_UNAVAILABLE"),
    errors.StorageTimeout: Answer(504, "TEMPORARILY_UNAVAILABLE"),
    errors.StorageUnreachable: Answer(502, "TEMPORARILY_UNAVAILABLE"),
    errors.StorageMisbehaved: Answer(502, "TEMPORARILY_UNAVAILABLE"),
    errors.StoragePermissionDenied: Answer(403, "PERMISSION_DENIED"),
}


def answer_for(error: errors.ArtifactError) -> Answer:
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def problem(
    request: Request,
    status: int,
    code: str,
    message: str,
    headers: dict[str, str] | None = None,
    **more: object,
) -> Response:
    """An error in the form that MLflow clients read, with `more` in its body."""
    visit = visit_of(request)
    visit.error = code
    headers = headers or {}
    if "expect" in request.headers:
        # The client may now send the body or not, so what comes next cannot be told from it.
        headers["Connection"] = "close"
    body = {"error_code": code, "message": message, "request_id": visit.request_id}
    return JSONResponse(body | more, status, headers)


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem."""
    app.add_exception_handler(errors.ArtifactError, _artifact_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(Exception, unexpected)


async def _artifact_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.ArtifactError)
    return answer(request, error)


def answer(request: Request, error: errors.ArtifactError, **more: object) -> Response:
    """What the client is told of the error and its notes; see `problem`."""
    if isinstance(error, errors.StorageError):
        cause = f" Cause: {error.__cause__}" if error.__cause__ else ""
        logger.error("%s %a: %s%s", request.method, request.scope["path"], error, cause)
    status, code = answer_for(error)
    headers = {}
    if isinstance(error, RangeNotSatisfiable):
        headers["Content-Range"] = f"bytes */{error.entry.size}"
    if isinstance(error, errors.ServerBusy):
        metrics.SHED.labels(error.lacking).inc()
    if isinstance(error, errors.TryLater):
        headers["Retry-After"] = str(ceil(error.seconds))
    elif status == 503:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    if status == 408:
        headers["Connection"] = "close"
    message = " ".join([str(error), *getattr(error, "__notes__", ())])
    response = problem(request, status, code, message, headers, **more)
    if status == 401:
        # Two headers, for browsers that understand only one challenge in each.
        for challenge in (_BEARER,) if _asked_by_page(request.headers) else (_BASIC, _BEARER):
            response.headers.append("WWW-Authenticate", challenge)
    return response


def _asked_by_page(headers: Headers) -> bool:
    """Whether a page asks by itself, or one of another site leads here.

    At Basic the browser would ask its user over the head of the one, and have the other sign its user in: a
    link may have a name and a password in it.
    """
    return (
        headers.get("x-requested-with", "").lower() == "xmlhttprequest"
        or headers.get("sec-fetch-mode", "navigate") != "navigate"
        or not asked_by_own_site(headers)
    )


async def _http_exception(request: Request, error: Exception) -> Response:
    """404 and 405 of the router: no route, or a route without the method."""
    assert isinstance(error, HTTPException)
    if error.status_code != 405:
        message = (
            f"There is no route {request.scope['path']!r}. This server serves artifacts only, below "
            "/api/2.0/mlflow-artifacts/ and /v1/artifacts/; all else is the tracking server's."
        )
        return problem(request, 404, "ENDPOINT_NOT_FOUND", message)
    headers = {"Allow": ", ".join(allowed_methods(request))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    message = f"The method {request.method!r} is not allowed here; allowed are: {headers['Allow']}."
    return problem(request, 405, "INVALID_PARAMETER_VALUE", message, headers)


def allowed_methods(request: Request) -> list[str]:
    """The methods that some route has at this path; the router itself knows only the first route."""
    outer = request.scope
    # Within a mount the router has made the root path longer.
    root_path = outer.get("app_root_path", outer["root_path"])
    scope = {"type": outer["type"], "path": outer["path"], "root_path": root_path}
    return [
        *(
            method
            for method in METHODS
            if any(
                route.matches({**scope, "method": method})[0] is Match.FULL
                and (method in _FILE_METHODS or not isinstance(route, Mount))
                for route in request.app.routes
            )
        ),
        "OPTIONS",
    ]


async def unexpected(request: Request, error: Exception) -> Response:
    """A defect of ours. The traceback is in the log, where uvicorn writes it."""
    message = "The server failed in an unexpected way; its log has the cause."
    return problem(request, 500, "INTERNAL_ERROR", message)
