"""What can go wrong, as a client sees it.

ArtifactError
├── ConfigurationError      no server is named, or a variable, file or URL cannot be used
├── InvalidPath             no artifact can have this path
├── ArtifactNotFound
├── ArtifactIsDirectory     a single artifact was meant
├── NotPermitted            the server does not know you, or does not let you
├── Conflict                the path, or the version, is not as it was demanded
├── DigestMismatch          what arrived is not what was sent
├── Unavailable             server or network, after all attempts
└── Interrupted             stopped, because of another failure or from outside
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

REPEATED = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""


class ArtifactError(Exception):
    """The base of all errors of this package; the text is one sentence for people, or a few."""

    status: int | None = None
    """Of the server's answer, if there was one."""
    code: str | None = None
    """The server's own name for the error, such as RESOURCE_DOES_NOT_EXIST."""
    request_id: str | None = None
    """By which the server's logs know the request."""


class ConfigurationError(ArtifactError):
    """A server, a credential or a certificate was not given as it must be."""


class InvalidPath(ArtifactError):
    """The text is no path that an artifact can have."""


class ArtifactNotFound(ArtifactError):
    """There is nothing at the path."""


class ArtifactIsDirectory(ArtifactError):
    """The path is a directory, where a single artifact was meant."""


class NotPermitted(ArtifactError):
    """The server does not know the caller, or does not let it do this."""


class Conflict(ArtifactError):
    """A file is where a directory must be or the reverse, or a condition on the artifact does not hold."""


class DigestMismatch(ArtifactError):
    """The bytes were damaged on their way."""


class Unavailable(ArtifactError):
    """The server cannot be reached, or can do nothing for now."""

    retry_after: float | None = None
    """Seconds that the server wants to be left alone."""
    is_final: bool = False
    """Whether another attempt is in vain, as with certificates that are not trusted."""


class Interrupted(ArtifactError):
    """The transfer was stopped before its end."""


_KINDS: Mapping[int, type[ArtifactError]] = {
    401: NotPermitted,
    403: NotPermitted,
    404: ArtifactNotFound,
    409: Conflict,
    412: Conflict,
}
_NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"
_INVALID: tuple[tuple[re.Pattern[str], type[ArtifactError]], ...] = (
    (re.compile("Invalid artifact path "), InvalidPath),
    (re.compile("The artifact path .* is a directory; ", re.DOTALL), ArtifactIsDirectory),
    (re.compile(r"The \S+ digest of the received body "), DigestMismatch),
)
"""What the server calls invalid differs in its message alone."""


def failure(status: int, headers: Mapping[str, str], body: bytes, subject: str) -> ArtifactError:
    """The error that an answer stands for. `subject` is what was asked for, in words."""
    told = _told(body)
    message, code = told.get("message"), told.get("error_code")
    if not isinstance(message, str):
        message = f"The server answered {status} {_phrase(status)} for {subject}."
    error = _kind(status, message)(message)
    error.status = status
    error.code = code if isinstance(code, str) else None
    error.request_id = headers.get("X-Request-Id")
    return error


def is_of_nobody(error: ArtifactError) -> bool:
    """Whether it is what anybody answers who knows no such route, and nothing of artifacts."""
    return (error.status == 404 and error.code != _NOT_FOUND) or (error.status == 405 and error.code is None)


def _kind(status: int, message: str) -> type[ArtifactError]:
    if status == 400:
        return next((kind for says, kind in _INVALID if says.match(message)), ArtifactError)
    return Unavailable if status in REPEATED else _KINDS.get(status, ArtifactError)


def _told(body: bytes) -> dict[str, object]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}  # of a proxy in between
    return told if isinstance(told, dict) else {}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "of its own"
