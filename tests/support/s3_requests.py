"""Whatever a server asks of its store, and what is to be seen in the requests."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from urllib.parse import parse_qs, urlsplit

import httpx

from app.storage.base import DirectTransfers, Storage, UploadedPart
from app.storage.entry import Entry, Precondition
from tests.support.artifacts import get, names, path, paths, put
from tests.support.interposer import Interposer
from tests.support.interposer_exchange import Request
from tests.support.s3_variables import LARGE


def scope(request: Request) -> tuple[str, str]:
    """The access key and the region that a request is signed with."""
    found = re.search(r"Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request", request.headers["authorization"])
    assert found
    return found[1], found[2]


def is_within(request: Request, bucket: str, prefix: str) -> bool:
    """Whether a request of path style concerns nothing but the bucket's keys below the prefix."""
    if request.operation == "ListObjectsV2":
        concerned = [request.query["prefix"]]
    elif request.operation == "DeleteObjects":
        concerned = re.findall(r"<Key>(.*?)</Key>", (request.body or b"").decode())
    else:
        concerned = [request.key]
    return request.bucket == bucket and bool(concerned) and all(one.startswith(prefix) for one in concerned)


def md5_header(body: bytes) -> str:
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def artifact_requests(interposer: Interposer, operation: str) -> list[Request]:
    """Those for artifacts, without what the server keeps for itself."""
    return [one for one in interposer.requests(operation) if ".artifact-proxy" not in one.key]


def direct(storage: Storage) -> DirectTransfers:
    assert storage.direct
    return storage.direct


def presigned(storage: Storage) -> tuple[str, str, dict[str, list[str]]]:
    """Host, path and query of a URL for the artifact `a`."""
    parts = urlsplit(direct(storage).download(Entry(path("a"), size=1), "attachment"))
    return parts.netloc, parts.path, parse_qs(parts.query)


def do_everything(storage: Storage) -> None:
    """Every request that a server can make of its store."""
    assert list(storage.rehearse())
    put(storage, "d/small")
    put(storage, "d/large", LARGE)
    put(storage, "d/new", LARGE, precondition=Precondition(none_match="*"))
    put(storage, "d/new", precondition=Precondition(match=frozenset({str(storage.stat(path("d/new")).etag)})))
    with storage.create(path("d/left"), size=len(LARGE)) as upload:
        upload.write(LARGE)
    assert get(storage, "d/small") == b"data"
    assert names(storage) == ["d"]
    assert paths(storage) == ["d/large", "d/new", "d/small"]
    begun = direct(storage).begin(path("d/direct"), 1)
    part = httpx.put(begun.part_urls[0], content=b"x").raise_for_status()
    direct(storage).complete(path("d/direct"), begun.upload_id, [UploadedPart(1, part.headers["etag"])])
    direct(storage).abort(path("d/other"), direct(storage).begin(path("d/other"), 1).upload_id)
    storage.sweep()
    storage.delete(path("d/small"))
    storage.delete(path("d"))


OPERATIONS = {
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CreateMultipartUpload",
    "DeleteObject",
    "DeleteObjects",
    "GetObject",
    "HeadObject",
    "ListObjectsV2",
    "PutObject",
    "UploadPart",
}
