"""27 to 33: methods, and headers that would change what a request means."""

from __future__ import annotations

import base64
import hashlib
import json

from tests.hostile.asking import INVALID, MLFLOW, NATIVE, Asker, code
from tests.hostile.conftest import Guarded
from tests.support.bystander import unchanged
from tests.support.hostile_paths import SURFACES
from tests.support.raw import read_answer

NOT_ALLOWED = (405, "INVALID_PARAMETER_VALUE")
FAILED = (412, "INVALID_STATE")
ALLOWED = {
    f"{NATIVE}a": "GET, HEAD, PUT, DELETE, OPTIONS",
    f"{MLFLOW}/artifacts/a": "GET, HEAD, PUT, DELETE, OPTIONS",
    f"{MLFLOW}/artifacts": "GET, HEAD, OPTIONS",
    f"{MLFLOW}/mpu/create/a": "POST, OPTIONS",
    "/version": "GET, HEAD, OPTIONS",
}
IN_DIFFERENT_ANSWERS = {"date", "x-request-id"}


def test_27_methods_that_a_route_does_not_have(asker: Asker) -> None:
    with unchanged(asker.server):
        for target, allowed in ALLOWED.items():
            for method in ("TRACE", "PATCH", "PROPFIND", "LINK", "MKCOL", "COPY"):
                answer = asker.ask(method, target)
                assert code(answer) == NOT_ALLOWED, (method, target)
                assert answer.headers["allow"] == allowed, (method, target)
            for method in ("FROB", "get", "Put", "delete", "CONNECT", "GETT", "PUT!"):
                assert code(asker.last(asker.head(method, target))) == (501, "NOT_IMPLEMENTED"), method
            options = asker.ask("OPTIONS", target, "Origin: https://evil.example")
            assert (options.status, options.headers["allow"], options.body) == (204, allowed, b""), target
            granted = [name for name in options.headers if name.startswith("access-control")]
            assert granted == [], target
        preflight = ["Origin: https://evil.example", "Access-Control-Request-Method: PUT"]
        assert not any("access-control" in name for name in asker.ask("OPTIONS", NATIVE, *preflight).headers)


def test_28_head_is_get_without_the_body(asker: Asker, folder: str) -> None:
    asker.ask("PUT", f"{NATIVE}{folder}/a", body=b"body")
    targets = [surface + folder + name for surface in SURFACES for name in ("/a", "/missing", "")]
    for target in (
        *targets,
        f"{NATIVE}{folder}/",
        f"{MLFLOW}/artifacts?path={folder}",
        "/version",
        "/health",
    ):
        got = asker.ask("GET", target)
        received = asker.all_of(asker.head("HEAD", target, "Connection: close"))
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        assert body == b"", target
        assert lines[0].split()[1] == str(got.status), target
        expected = {name: got.headers[name] for name in got.headers.keys() - IN_DIFFERENT_ANSWERS}
        assert {
            name: headers[name] for name in headers.keys() - IN_DIFFERENT_ANSWERS - {"connection"}
        } == expected


def test_29_headers_for_other_servers_change_nothing(asker: Asker, stranger: Asker, guarded: Guarded) -> None:
    asker.ask("PUT", f"{NATIVE}kept", body=b"kept")
    with unchanged(asker.server):
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            for method in ("DELETE", "PUT"):
                assert asker.ask("GET", f"{NATIVE}kept", f"{name}: {method}").body == b"kept"
                assert code(asker.ask("POST", f"{NATIVE}kept", f"{name}: {method}")) == NOT_ALLOWED
            assert asker.ask("GET", f"{NATIVE}kept?_method=DELETE").body == b"kept"
        for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Accel-Redirect", "X-Sendfile"):
            assert asker.ask("GET", f"{NATIVE}kept", f"{name}: {NATIVE}other").body == b"kept"
            assert stranger.ask("GET", f"{NATIVE}kept", f"{name}: /health").status == 401
        for header in ("X-Forwarded-User: root", "X-Forwarded-Groups: all", "Remote-User: root"):
            for address in ("127.0.0.9", "::1"):
                claimed = stranger.ask("GET", f"{NATIVE}kept", header, f"X-Forwarded-For: {address}")
                assert claimed.status == 401, header
    forged = ["X-Forwarded-For: 8.8.8.8", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"]
    forged += ["X-Forwarded-Prefix: /evil", "Forwarded: for=8.8.8.8;host=evil.example", "X-Real-IP: 8.8.8.8"]
    stored = asker.ask("PUT", f"{NATIVE}forged", *forged, "X-Request-Id: forged", body=b"x")
    assert stored.headers["location"] == f"{NATIVE}forged"
    assert asker.ask("DELETE", f"{NATIVE}forged").status == 204
    lines = [json.loads(line) for line in guarded.audit_log.read_text().splitlines()]
    (audited,) = [line for line in lines if line["request_id"] == "forged"]
    assert (audited["from"], audited["peer"], audited["who"]["name"]) == ("127.0.0.1", "127.0.0.1", "tester")
    assert "8.8.8.8" not in asker.server.log()


def test_30_an_encoded_body_is_refused(asker: Asker, folder: str) -> None:
    with unchanged(asker.server):
        for encoding in ("gzip", "br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x", "aws-chunked"):
            answer = asker.ask("PUT", NATIVE + folder, f"Content-Encoding: {encoding}", body=b"x")
            assert code(answer) == (415, "INVALID_PARAMETER_VALUE"), encoding
        two = asker.ask(
            "PUT", NATIVE + folder, "Content-Encoding: identity", "Content-Encoding: gzip", body=b"x"
        )
        assert two.status == 415
    assert asker.ask("PUT", NATIVE + folder, "Content-Encoding: identity", body=b"\x1f\x8bx").status == 201
    got = asker.ask("GET", NATIVE + folder, "Accept-Encoding: gzip, br")
    assert (got.body, got.headers.get("content-encoding")) == (b"\x1f\x8bx", None)


def test_31_a_wrong_digest_is_refused_and_an_unknown_one_ignored(asker: Asker, folder: str) -> None:
    target, body = NATIVE + folder, b"body"
    asker.ask("PUT", target, body=b"old")
    md5 = base64.b64encode(hashlib.md5(b"other", usedforsecurity=False).digest()).decode()
    sha = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    wrong = [f"Content-MD5: {md5}", "Content-MD5: x", "Content-MD5: AAAA", "Content-MD5:"]
    for field in ("Content-Digest", "Repr-Digest"):
        wrong += [f"{field}: sha-256=:{sha}:", f"{field}: sha-256=:AAAA:", f"{field}: sha-256={sha}"]
        wrong += [
            f"{field}: sha-256",
            f"{field}: (((",
            f"{field}: sha-512=:{sha}:",
            f"{field}: x=:A:, sha-256=:{sha}:",
        ]
    with unchanged(asker.server):
        for header in wrong:
            assert code(asker.ask("PUT", target, header, body=body)) == INVALID, header
    for header in (
        "Content-Digest: crc32c=:AAAA:",
        "Repr-Digest: md5=:AAAA:, unknown=?1",
        "Digest: sha-256=x",
    ):
        assert asker.ask("PUT", target, header, body=body).status == 200, header
    assert asker.ask("GET", target).body == body


MANY = "9" * 50


def test_32_ranges(asker: Asker, folder: str) -> None:
    whole, empty = f"{NATIVE}{folder}/whole", f"{NATIVE}{folder}/empty"
    etag = asker.ask("PUT", whole, body=b"0123456789").headers["etag"]
    asker.ask("PUT", empty)
    ignored = [
        "bytes=9-1",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "items=0-1",
        "0-1",
        "bytes=+1-2",
    ]
    ignored += [
        "bytes=0-0," * 1000 + "5-5",
        "bytes=0x1-2",
        "bytes=1-2x",
        "bytes=" + "9" * 10_000 + "-",
        "\xb2",
    ]
    for value in ignored:
        answer = asker.ask("GET", whole, f"Range: {value}")
        assert (answer.status, answer.body) == (200, b"0123456789"), value[:20]
    for target, size, values in (
        (whole, 10, ["bytes=10-", "bytes=10-20", "bytes=-0", f"bytes={MANY}-", f"bytes={MANY}-{MANY}"]),
        (empty, 0, ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0"]),
    ):
        for value in values:
            answer = asker.ask("GET", target, f"Range: {value}")
            assert code(answer) == (416, "INVALID_PARAMETER_VALUE"), value
            assert answer.headers["content-range"] == f"bytes */{size}", value
    for value, body in (
        (f"bytes=0-{MANY}", b"0123456789"),
        (f"bytes=-{MANY}", b"0123456789"),
        ("bytes=9-", b"9"),
    ):
        answer = asker.ask("GET", whole, f"Range: {value}")
        assert (answer.status, answer.body) == (206, body), value
    for condition, status in (
        (etag, 206),
        (f"W/{etag}", 200),
        ('"other"', 200),
        ("*", 200),
        ("yesterday", 200),
    ):
        answer = asker.ask("GET", whole, "Range: bytes=1-2", f"If-Range: {condition}")
        assert (answer.status, len(answer.body)) == (status, 2 if status == 206 else 10), condition


def test_33_conditions(asker: Asker, folder: str) -> None:
    target = NATIVE + folder
    etag = asker.ask("PUT", target, body=b"v1").headers["etag"]
    with unchanged(asker.server):
        for value in (etag, f"W/{etag}", "*", f'"x", {etag}'):
            answer = asker.ask("GET", target, f"If-None-Match: {value}")
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag), value
        for value, put in (('"x"', FAILED), (f"W/{etag}", FAILED), ("x", INVALID)):
            assert code(asker.ask("GET", target, f"If-Match: {value}")) == FAILED, value
            assert code(asker.ask("PUT", target, f"If-Match: {value}", body=b"v2")) == put, value
        assert code(asker.ask("PUT", target, "If-None-Match: *", body=b"v2")) == FAILED
        assert code(asker.ask("DELETE", target, 'If-Match: "x"')) == FAILED
        for date in (
            "yesterday",
            "Fri, 31 Feb 2024 00:00:00 GMT",
            MANY,
            "",
            "\xff",
            "Fri, 17 May 99999 00:00:00 GMT",
        ):
            for name in ("If-Modified-Since", "If-Unmodified-Since"):
                assert asker.ask("GET", target, f"{name}: {date}").body == b"v1", (name, date)


def test_33_of_200_parallel_creations_exactly_one_succeeds(asker: Asker, folder: str) -> None:
    connections = [asker.connect() for _ in range(200)]
    for connected in connections:
        connected.sendall(asker.head("PUT", NATIVE + folder, "If-None-Match: *", "Content-Length: 3"))
    for number, connected in enumerate(connections):
        connected.sendall(b"%03d" % number)
    statuses = []
    for connected in connections:
        with connected:
            statuses.append(read_answer(connected).status)
    assert sorted(statuses) == [201] + [412] * 199
    assert asker.ask("GET", NATIVE + folder).body == b"%03d" % statuses.index(201)
