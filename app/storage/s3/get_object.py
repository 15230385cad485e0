"""GetObject as botocore sends it, without what botocore does anew for each request.

It checks parameters, resolves the endpoint, asks dozens of handlers and looks for fifty headers, which takes
longer than to sign a request, to send it and to receive its answer. So the first GetObject goes botocore's
way, and those that follow are copies of its request with another key, range and condition, signed by
botocore's signer and sent by its session. An answer that brings the object is taken as it is. Whatever else
comes of it is handed to botocore as the outcome of its own first attempt: repetitions, redirections and
errors stay its business.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from botocore.awsrequest import create_request_object
from botocore.endpoint import convert_to_response_dict
from botocore.httpchecksum import handle_checksum_body

from app.storage.s3.timestamps import timestamp

_HEADERS = {"Range": "Range", "IfMatch": "If-Match"}
"""Of the parameters that differ from request to request; the key is in the URL."""


class GetObject:
    """The client's `get_object`, always with the same parameters but for Key, Range and IfMatch.

    Its answers have what `app.storage.s3` looks for, and its exceptions are botocore's.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pattern: _Pattern | None = None
        self._here = _Here()
        # Which slows down all requests, and has to see all for that.
        self._copies = client.meta.config.retries.get("mode") != "adaptive"
        events = client.meta.events
        events.register("before-sign.s3.GetObject", self._note_signer)
        events.register("before-send.s3.GetObject", self._hand_over)
        events.register("needs-retry.s3.GetObject", self._note_attempt)

    def __call__(self, **parameters: Any) -> Any:
        pattern = self._pattern
        if pattern is None:
            return self._by_botocore(parameters, None)
        request = pattern.request(parameters)
        outcome: Any
        try:
            outcome = pattern.endpoint.http_session.send(request)
        except Exception as error:
            outcome = error
        else:
            if (answer := pattern.answer(outcome, request.context)) is not None:
                # Botocore's budget of repetitions grows with each success.
                self._client.meta.events.emit(
                    "after-call.s3.GetObject",
                    http_response=outcome,
                    parsed=answer,
                    model=pattern.operation,
                    context=request.context,
                )
                return answer
        return self._by_botocore(parameters, outcome)

    def _by_botocore(self, parameters: Mapping[str, Any], outcome: Any) -> Any:
        self._here.outcome = outcome
        try:
            answer = self._client.get_object(**parameters)
        finally:
            self._here.outcome = None  # where it failed before it would have sent anything
        if self._copies:
            self._pattern = _pattern(self._here, parameters["Key"])
        return answer

    def _note_signer(self, request_signer: Any, **_: object) -> None:
        self._here.signer = request_signer

    def _note_attempt(
        self, endpoint: Any, operation: Any, request_dict: Any, attempts: int, **_: object
    ) -> None:
        self._here.attempt = endpoint, operation, request_dict, attempts

    def _hand_over(self, **_: object) -> Any:
        """The outcome of botocore's first attempt, which it then does not send; None for all others."""
        outcome, self._here.outcome = self._here.outcome, None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class _Here(threading.local):
    """What the handlers learn of the request that this thread has given to botocore, and tell it."""

    outcome: Any = None
    signer: Any
    attempt: tuple[Any, Any, Mapping[str, Any], int]


class _Pattern(NamedTuple):
    endpoint: Any
    operation: Any
    signer: Any
    request_dict: Mapping[str, Any]
    """As botocore makes requests of it, without what differs; URL and path for the signature lack the key."""

    def request(self, parameters: Mapping[str, Any]) -> Any:
        """Signed, and ready to be sent."""
        of_all, key = self.request_dict, quote(parameters["Key"])
        request = create_request_object(
            {
                **of_all,
                "url": of_all["url"] + key,
                "auth_path": of_all["auth_path"] + key,
                "context": dict(of_all["context"]),
            }
        )
        for name, header in _HEADERS.items():
            if name in parameters:
                request.headers[header] = parameters[name]
        request.stream_output = True
        self.signer.sign(self.operation.name, request)
        return self.endpoint.prepare_request(request)

    def answer(self, response: Any, context: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What a response brings; None if botocore has to judge it."""
        if response.status_code not in {200, 206}:
            return None
        headers = response.headers
        try:
            answer = {
                "ContentLength": int(headers["Content-Length"]),
                "ETag": headers["ETag"],
                "LastModified": timestamp(headers["Last-Modified"]),
                "ResponseMetadata": {"HTTPStatusCode": response.status_code},
            }
        except (ArithmeticError, LookupError, RuntimeError, ValueError):
            return None
        if "Content-Range" in headers:
            answer["ContentRange"] = headers["Content-Range"]
        found = convert_to_response_dict(response, self.operation)
        handle_checksum_body(response, found, context, self.operation)
        return answer | {"Body": found["body"]}


def _pattern(here: _Here, key: str) -> _Pattern | None:
    """Of a request that brought its object; None if it is not as simple as they usually are."""
    endpoint, operation, request_dict, attempts = here.attempt
    if attempts > 1:  # what it has cost would be given back for each copy
        return None
    url, auth_path, quoted = request_dict["url"], request_dict.get("auth_path") or "", quote(key)
    if not url.endswith(f"/{quoted}") or not auth_path.endswith(f"/{quoted}"):
        return None
    headers = {
        name: value for name, value in request_dict["headers"].items() if name not in _HEADERS.values()
    }
    changed = {
        "url": url.removesuffix(quoted),
        "auth_path": auth_path.removesuffix(quoted),
        "headers": headers,
    }
    return _Pattern(endpoint, operation, here.signer, {**request_dict, **changed})
