"""One request to a store as the interposer takes it, what it asks for, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import httpx

from tests.support.wire import WITHOUT_BODY, Response, Wire, is_chunked

if TYPE_CHECKING:
    from tests.support.interposer import Interposer

RECORDED = 1024 * 1024
"""Bodies up to this size are recorded."""

_BUCKET_READS = {
    "list-type": "ListObjectsV2",
    "uploads": "ListMultipartUploads",
    "versions": "ListObjectVersions",
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
    "policy": "GetBucketPolicy",
    "lifecycle": "GetBucketLifecycleConfiguration",
    "object-lock": "GetObjectLockConfiguration",
}
_BUCKET_METHODS = {
    "GET": "ListObjects",
    "PUT": "CreateBucket",
    "HEAD": "HeadBucket",
    "DELETE": "DeleteBucket",
    "POST": "PostObject",
}
_UPLOAD_METHODS = {
    "GET": "ListParts",
    "PUT": "UploadPart",
    "DELETE": "AbortMultipartUpload",
    "POST": "CompleteMultipartUpload",
}
_OBJECT_METHODS = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
    "POST": "CreateMultipartUpload",
}


@dataclass
class Request:
    method: str
    target: str
    """As it was sent."""
    headers: httpx.Headers
    body_length: int = 0
    """Of what has come so far."""
    body: bytes | None = b""
    """None if it is larger than RECORDED."""
    status: int | None = None
    """What the client was told, if anything."""

    @property
    def path(self) -> str:
        """As it was sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def bucket(self) -> str:
        return unquote(self.path[1:].partition("/")[0])

    @property
    def key(self) -> str:
        return unquote(self.path[1:].partition("/")[2])

    @property
    def operation(self) -> str:
        """The name that S3 has for it, such as PutObject."""
        query = self.query
        copies = "x-amz-copy-source" in self.headers
        if not self.bucket:
            return "ListBuckets"
        if not self.key:
            if self.method == "GET":
                return next((name for flag, name in _BUCKET_READS.items() if flag in query), "ListObjects")
            return "DeleteObjects" if "delete" in query else _BUCKET_METHODS[self.method]
        if "tagging" in query:
            return f"{self.method.capitalize()}ObjectTagging"
        if "uploadId" in query:
            return _UPLOAD_METHODS[self.method] + ("Copy" if copies else "")
        if "attributes" in query:
            return "GetObjectAttributes"
        return "CopyObject" if copies else _OBJECT_METHODS[self.method]


class ClientGone(Exception):
    """The client's connection has ended before its request did."""


class Exchange:
    """One request and what becomes of it; this is what actions act upon."""

    def __init__(self, interposer: Interposer, client: Wire, request: Request, head: bytes) -> None:
        self.request = request
        self.interposer = interposer
        self.goes_on = True
        """Whether the client may send another request over this connection."""
        self._client = client
        self._head = head
        self._body = self._read_body()
        self._upstream = ExitStack()

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self._upstream.close()

    def body(self) -> Iterator[bytes]:
        """What is left of the request's body."""
        return self._body

    def drain(self) -> None:
        for _ in self._body:
            pass

    def forward(self, change: Callable[[Iterator[bytes]], Iterable[bytes]] = iter) -> Response:
        """Sends the request to the store, its body through `change`, and reads the answer's head."""
        store = Wire(self._upstream.enter_context(self.interposer.connected()))
        chunked = is_chunked(self.request.headers)
        try:
            store.send(_without_expect(self._head))
            store.send_body(change(self._body), chunked)
        except (BrokenPipeError, ConnectionResetError):
            self.drain()  # the store may have answered without waiting for the body
        return store.response(self.request.method)

    def reply(self, response: Response, change: Callable[[Iterator[bytes]], Iterable[bytes]] = iter) -> None:
        """Gives the store's answer to the client, its body through `change`."""
        self.request.status = response.status
        self._client.send(response.head)
        self._client.send_body(change(response.pieces), response.chunked)
        self.goes_on = not response.last

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answers in place of the store."""
        body = b"" if status in WITHOUT_BODY else body
        phrase = HTTPStatus(status).phrase
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        lines += [f"Content-Length: {len(body)}", "", ""]
        self.request.status = status
        self._client.send("\r\n".join(lines).encode() + (b"" if self.request.method == "HEAD" else body))

    def send_raw(self, data: bytes) -> None:
        """Sends what may be no HTTP at all, after which the connection ends."""
        self._client.send(data)
        self.goes_on = False

    def reset(self) -> None:
        """Ends the connection as a crash does, after what has been sent has arrived."""
        self._client.reset()
        self.goes_on = False

    def wait_for_end(self) -> None:
        """Returns when the client has closed the connection, or the test is over."""
        self._client.wait_for_end()
        self.goes_on = False

    def _read_body(self) -> Iterator[bytes]:
        request = self.request
        if request.headers.get("expect", "").lower() == "100-continue":
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(request.headers.get("content-length", 0))
        try:
            for piece in self._client.body(length, is_chunked(request.headers)):
                request.body_length += len(piece)
                if request.body is not None:
                    request.body = request.body + piece if request.body_length <= RECORDED else None
                yield piece
        except OSError as error:
            raise ClientGone from error


def _without_expect(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"expect:"))
