"""One server: what is asked of it, again where that may help, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from artifact_proxy.entries import Entry, examined, listed
from artifact_proxy.errors import (
    ArtifactError,
    ArtifactIsDirectory,
    ArtifactNotFound,
    ConfigurationError,
    Unavailable,
    failure,
    is_of_nobody,
)
from artifact_proxy.headers import answered_sha256, seconds
from artifact_proxy.network import Network, Origin, broken
from artifact_proxy.paths import quoted
from artifact_proxy.retrying import Patience

PAGE_ENTRIES = 5_000
SLOWEST_STORAGE = 10_000_000
"""Bytes in a second; for so long a server may be silent that reads or stores an artifact."""
_ERROR_BYTES = 64 * 1024
_NO_CONTENT, _NOT_IMPLEMENTED = 204, 501


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    def __init__(
        self,
        url: str,
        authorization: str | None,
        network: Network,
        retries: int,
        kind: str = "an artifact-proxy",
    ) -> None:
        """`kind`: what should be at the URL, in words."""
        self.url = url.rstrip("/")
        self._kind = kind
        self.retries = retries
        self.network = network
        self._origin = Origin.of(url)
        self._credential = {} if authorization is None else {"Authorization": authorization}

    def artifact_url(self, path: str) -> str:
        return f"{self.url}/v1/artifacts/{quoted(path)}"

    def patience(self) -> Patience:
        return Patience(self.retries)

    def once(
        self,
        method: str,
        url: str,
        subject: str,
        headers: Mapping[str, str] | None = None,
        body: Iterable[bytes] | None = None,
        *,
        patience: float = 0,
    ) -> BaseHTTPResponse:
        """One attempt. The body of the answer is not read yet; that of an error is, and raised.

        Raises `ConfigurationError` where nobody answers who knows of artifacts.
        """
        sent = self._credential | dict(headers or {})
        response, is_of_storage = self.network.send(method, url, sent, body, patience=patience)
        if response.status < 300:
            return response
        try:
            told = response.read(_ERROR_BYTES)
        except HTTPError:
            told = b""
        finally:
            response.close()
        error = failure(response.status, response.headers, told, subject)
        if isinstance(error, Unavailable):
            error.retry_after = seconds(response.headers.get("Retry-After"))
        if method != "HEAD" and not is_of_storage and is_of_nobody(error):
            error = self._wrong(f"it answered {error.status} for {subject}", error)
        raise error

    def ask(
        self,
        method: str,
        url: str,
        subject: str,
        headers: Mapping[str, str] | None = None,
        *,
        patience: float = 0,
    ) -> Answer:
        """The whole answer, after as many attempts as it takes."""

        def attempt() -> Answer:
            response = self.once(method, url, subject, headers, patience=patience)
            return Answer(response.status, response.headers, self.read(response))

        return self.patience().repeat(attempt)

    def read(self, response: BaseHTTPResponse, size: int | None = None) -> bytes:
        """The next `size` bytes of an answer, or all. Raises `Unavailable` where it breaks off."""
        try:
            return response.read(size)
        except HTTPError as error:
            response.close()
            raise broken(error, self._origin) from None

    def told(self, url: str, subject: str) -> Any:
        """JSON that the server answers."""
        answer = self.ask("GET", url, subject)
        return self.parsed(answer.body, lambda told: told)

    def parsed(self, body: bytes, read: Callable[[Any], Any]) -> Any:
        """What `read` makes of an answer. Raises `ConfigurationError` for an answer that makes no sense."""
        try:
            return read(json.loads(body))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise self._wrong("its answer makes no sense") from None

    def described(self, path: str, response: Answer | BaseHTTPResponse) -> Entry:
        """The artifact that an answer is of, which has an ETag: else it is a page of whoever is there."""
        entry = examined(path, response.headers)
        if entry.etag is None:
            raise self._wrong(f"its answer for {path!r} has no ETag")
        return entry

    def list(self, directory: str, *, recursive: bool = False, limit: int | None = None) -> Iterator[Entry]:
        """The entries of a directory, page by page; `limit` is for whoever wants no more than that."""
        parameters = {"max_results": str(limit or PAGE_ENTRIES)}
        if recursive:
            parameters["recursive"] = "true"
        place = self.artifact_url(f"{directory}/" if directory else "")
        while True:
            body = self.ask("GET", f"{place}?{urlencode(parameters)}", f"the directory {directory!r}").body
            entries, token = self.parsed(body, _page)
            yield from entries
            if token is None or limit is not None:
                return
            parameters["page_token"] = token

    def examine(self, path: str) -> Entry:
        """What is known of the artifact. Raises `ArtifactNotFound`, and what GET would tell."""
        require_name(path)
        try:
            answer = self.ask("HEAD", self.artifact_url(path), repr(path))
        except ArtifactError as error:
            if error.status is None or isinstance(error, Unavailable):
                raise
            reason = self._reason(path) or error
            raise (_missing(path, reason) if isinstance(reason, ArtifactNotFound) else reason) from None
        return self.described(path, answer)

    def _reason(self, path: str) -> ArtifactError | None:
        """Why there was no answer to HEAD, which itself says nothing of it; None if there is one now."""
        try:
            first = {"Range": "bytes=0-0"}
            with closing(self.once("GET", self.artifact_url(path), repr(path), first)) as response:
                self.described(path, response)
        except ArtifactError as error:
            return error
        return None

    def sha256(self, entry: Entry) -> bytes | None:
        """The digest of this version, for which the server reads it; None if it has no such power."""
        headers = {"Want-Repr-Digest": "sha-256=1"}
        if entry.etag is not None:
            headers["If-Match"] = entry.etag
        patience = (entry.size or 0) / SLOWEST_STORAGE
        answer = self.ask("HEAD", self.artifact_url(entry.path), repr(entry.path), headers, patience=patience)
        return answered_sha256(answer.headers)

    def delete(self, path: str) -> None:
        answer = self.ask("DELETE", self.artifact_url(path), repr(path))
        if answer.status != _NO_CONTENT:
            raise self._wrong(f"it answered a deletion with {answer.status}")

    def presigned(self, path: str) -> str:
        url = f"{self.url}/api/2.0/mlflow-artifacts/presigned/{quote(path)}"
        try:
            body = self.ask("GET", url, repr(path)).body
        except ArtifactError as error:
            if error.status == _NOT_IMPLEMENTED:
                reason = "its storage has none, or its operator allows none"
                error.args = (f"{self.url} gives no presigned URLs: {reason}; take the server's own URL.",)
            raise
        return str(self.parsed(body, lambda told: told["url"]))

    def _wrong(self, answered: str, cause: ArtifactError | None = None) -> ConfigurationError:
        """It is somebody else who answers; `cause` is what that would mean of the right server."""
        error = ConfigurationError(f"{self.url} is not {self._kind}, or not all of its URL: {answered}.")
        if cause is not None:
            error.status, error.code, error.request_id = cause.status, cause.code, cause.request_id
        return error


def require_name(path: str) -> None:
    """Raises `ArtifactIsDirectory` for the root, of which servers would give the listing."""
    if not path:
        raise ArtifactIsDirectory("The artifact root is a directory; name an artifact below it.")


def _page(told: Any) -> tuple[list[Entry], str | None]:
    return [listed(entry) for entry in told["entries"]], told["next_page_token"]


def _missing(path: str, error: ArtifactNotFound) -> ArtifactNotFound:
    made = ArtifactNotFound(f"There is no artifact {path!r}.")
    made.status, made.code, made.request_id = error.status, error.code, error.request_id
    return made
