"""One request of every kind to an artifact server, and its answers in a form that can be kept.

`python -m tests.e2e.wire_probe http://HOST:PORT` prints the answers; it writes below wireprobe/ and
deletes that in the end. To record anew, from the project's directory:

    artifact-proxy --default-artifact-root /tmp/probed --port 5500
    python -m tests.e2e.wire_probe http://127.0.0.1:5500 > tests/e2e/recorded/local.json

    mlflow server --artifacts-only --artifacts-destination /tmp/probed --port 5501
    python -m tests.e2e.wire_probe http://127.0.0.1:5501 > tests/e2e/recorded/mlflow-3.17.2-local.json

For s3.json and mlflow-3.17.2-s3.json the root is s3://BUCKET/root in a new bucket of SeaweedFS, and
artifact-proxy has --presign. An upload that is begun straight at the store stays open there.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

API = "/api/2.0/mlflow-artifacts"
AJAX = "/ajax-api/2.0/mlflow-artifacts"
ARTIFACTS = f"{API}/artifacts"
TOP = f"{ARTIFACTS}/wireprobe"
JSON = {"Content-Type": "application/json"}
JAPANESE = "%E6%97%A5%E6%9C%AC"

MASKED = "<masked>"
_LEFT_OUT = {
    *("date", "server", "connection", "vary", "x-request-id"),
    # For browsers, and the same in every answer.
    *("x-frame-options", "referrer-policy", "permissions-policy"),
    *("cross-origin-opener-policy", "cross-origin-resource-policy"),
}
_VOLATILE = {"etag", "last-modified"}
# Of presigned URLs; the rest of them tells what their holder may do.
_VOLATILE_PARAMETERS = {"X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "uploadId"}
# Of the answer to /version, which changes with every release.
_VERSION = re.compile(r"\d+\.\d+\.\d+\S*")


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Answer(TypedDict):
    status: int
    headers: dict[str, str]
    """By lower-case name, in order of the names."""
    body: object
    """What the JSON means where it is JSON, else the text."""


def _get(target: str, **headers: str) -> Request:
    return Request("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})


def _put(target: str, body: bytes = b"x", **headers: str) -> Request:
    return Request("PUT", target, body, headers)


def _post(step: str, body: str, headers: Mapping[str, str] = JSON) -> Request:
    return Request("POST", f"{API}/mpu/{step}/wireprobe/m", body.encode(), headers)


REQUESTS: dict[str, Request] = {
    "health": _get("/health"),
    "version": _get("/version"),
    "server info": _get("/api/3.0/mlflow/server-info"),
    "server info, ajax": _get("/ajax-api/3.0/mlflow/server-info"),
    "upload": Request("PUT", f"{TOP}/d/a.txt", b"hello", {"Content-Type": "text/plain"}),
    "upload of nothing": _put(f"{TOP}/empty.bin", b""),
    "upload, unicode name": _put(f"{TOP}/{JAPANESE}.txt", b"uni"),
    "upload, double-encoded name": _put(f"{TOP}/a%20b+c%2525d.json", b"sp"),
    "upload, # in the name": _put(f"{TOP}/a%23b"),
    "upload, trailing slash": _put(f"{TOP}/dir/"),
    "upload, no path": _put(ARTIFACTS),
    "upload onto a directory": _put(f"{TOP}/d"),
    "upload, drive letter": _put(f"{ARTIFACTS}/C:/x.txt"),
    "upload, newline in the name": _put(f"{TOP}/c%0Ad.txt"),
    "post to an artifact": Request("POST", f"{TOP}/p", b"x"),
    "upload, foreign origin": _put(f"{TOP}/o.txt", Origin="http://evil.example.com"),
    "list, foreign host": _get(f"{ARTIFACTS}?path=wireprobe/d", Host="evil.example.com"),
    "list, workspace": _get(f"{ARTIFACTS}?path=wireprobe/d", X_MLFLOW_WORKSPACE="foo"),
    "list": _get(f"{ARTIFACTS}?path=wireprobe"),
    "list, trailing slash": _get(f"{ARTIFACTS}?path=wireprobe/"),
    "list, nested": _get(f"{ARTIFACTS}?path=wireprobe/d"),
    "list a file": _get(f"{ARTIFACTS}?path=wireprobe/d/a.txt"),
    "list, missing": _get(f"{ARTIFACTS}?path=wireprobe/nope"),
    "list, dots": _get(f"{ARTIFACTS}?path=../x"),
    "list, leading slash": _get(f"{ARTIFACTS}?path=/etc"),
    "list, double-encoded dots": _get(f"{ARTIFACTS}?path=%252e%252e/x"),
    "list, ajax": _get(f"{AJAX}/artifacts?path=wireprobe/d"),
    "download, ajax": _get(f"{AJAX}/artifacts/wireprobe/d/a.txt"),
    "download": _get(f"{TOP}/d/a.txt"),
    "head": Request("HEAD", f"{TOP}/d/a.txt"),
    "download of nothing": _get(f"{TOP}/empty.bin"),
    "range": _get(f"{TOP}/d/a.txt", Range="bytes=1-2"),
    "range past the end": _get(f"{TOP}/d/a.txt", Range="bytes=99-"),
    "download, unicode name": _get(f"{TOP}/{JAPANESE}.txt"),
    "download, double-encoded name": _get(f"{TOP}/a%20b+c%2525d.json"),
    "download a directory": _get(f"{TOP}/d"),
    "download, missing": _get(f"{TOP}/nope"),
    "download, dots": _get(f"{TOP}/%2e%2e/%2e%2e/x"),
    "download, double-encoded dots": _get(f"{TOP}/%252e%252e/x"),
    "presigned": _get(f"{API}/presigned/wireprobe/d/a.txt"),
    "presigned, missing": _get(f"{API}/presigned/wireprobe/nope"),
    "multipart create": _post("create", '{"path":"x.bin","num_parts":2}'),
    "multipart create, no path": _post("create", '{"num_parts":2}'),
    "multipart create, no content type": _post("create", '{"path":"x.bin"}', {"Content-Type": "text/plain"}),
    "multipart complete": _post(
        "complete", '{"path":"x.bin","upload_id":"bogus","parts":[{"part_number":1,"etag":"e"}]}'
    ),
    "multipart abort": _post("abort", '{"path":"x.bin","upload_id":"bogus"}'),
    "delete, missing": Request("DELETE", f"{TOP}/nope"),
    "delete, dots": Request("DELETE", f"{TOP}/%2e%2e/%2e%2e/zzz"),
    "delete the root": Request("DELETE", ARTIFACTS),
    "tracking route": _get("/api/2.0/mlflow/artifacts/list?run_id=x"),
    "tracking page": _get("/get-artifact?run_id=x&path=y"),
    "no such route": _get("/nope"),
    "options": Request("OPTIONS", f"{TOP}/d/a.txt"),
    "delete a directory": Request("DELETE", f"{TOP}/"),
    "list after deletion": _get(f"{ARTIFACTS}?path=wireprobe"),
}
"""By name, in the order in which they are sent: later ones read what earlier ones have written."""


def probe(url: str) -> dict[str, Answer]:
    """Sends all of `REQUESTS` to the server at `url`."""
    return {name: _answer(url, request) for name, request in REQUESTS.items()}


def _answer(url: str, request: Request) -> Answer:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(request.method, request.target, request.body, dict(request.headers))
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _LEFT_OUT}
    request_id = f',"request_id":"{response.getheader("x-request-id")}"'.encode()
    if request_id in body:  # which is another every time, as in the header, and beyond MLflow's form
        body = body.replace(request_id, b"")
        headers["content-length"] = str(len(body))
    headers |= dict.fromkeys(_VOLATILE & headers.keys(), MASKED)
    if request.target == "/version" and _VERSION.fullmatch(body.decode()):
        body, headers["content-length"] = MASKED.encode(), MASKED
    told = _meaning(body, headers)
    kept = _masked(told)
    if kept != told:
        headers["content-length"] = MASKED
    return Answer(status=response.status, headers=dict(sorted(headers.items())), body=kept)


def _meaning(body: bytes, headers: Mapping[str, str]) -> object:
    return json.loads(body) if headers.get("content-type") == "application/json" and body else body.decode()


def _masked(told: object) -> object:
    """Without what is another in every run: the ids of uploads, and the store and secrets in URLs."""
    if isinstance(told, list):
        return [_masked(each) for each in told]
    if isinstance(told, dict):
        return {name: MASKED if name == "upload_id" else _masked(value) for name, value in told.items()}
    if not isinstance(told, str) or "X-Amz-Signature=" not in told:
        return told
    parts = urlsplit(told)
    query = {
        name: MASKED if name in _VOLATILE_PARAMETERS else value for name, value in parse_qsl(parts.query)
    }
    return {"key": unquote(parts.path.split("/", 2)[2]), "query": dict(sorted(query.items()))}


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1]), indent=1, ensure_ascii=False))
