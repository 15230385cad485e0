"""44 to 46: what browsers could be led to run, headers made of names, and what logs may hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import httpx
import pytest

from app.config import load
from tests.hostile.asking import MLFLOW, NATIVE, Asker
from tests.hostile.conftest import Guarded
from tests.support.access import access_file, token_stanza
from tests.support.access_log import complete_log
from tests.support.hostile_paths import SURFACES
from tests.support.oidc import ec_key
from tests.support.presigning import Multipart, Place
from tests.support.raw import Answer
from tests.support.server import running

PAGES = (
    "a.html",
    "a.svg",
    "a.xml",
    "a.xhtml",
    "a.htm",
    "a.js",
    "a.pdf",
    "a.mhtml",
    "a.gif",
    "a",
    "a.html.png",
)
POLYGLOT = (
    b"GIF89a/*<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>*/=1;<script>alert(1)</script>"
)


def test_44_an_artifact_is_never_a_page(asker: Asker, folder: str) -> None:
    for surface in SURFACES:
        for name in PAGES:
            target = f"{surface}{folder}/{name}"
            asker.ask("PUT", target, "Content-Type: text/html", body=POLYGLOT)
            answers = [
                asker.ask("GET", target),
                asker.ask("GET", target, "Range: bytes=0-3"),
                asker.ask("HEAD", target, "Connection: close"),
            ]
            assert [answer.status for answer in answers] == [200, 206, 200]
            for answer in answers:
                assert answer.headers["content-disposition"] == f"attachment; filename={name}"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    for target in (
        f"{NATIVE}%3Cscript%3E",
        f"{NATIVE}..%2f%3Cscript%3E",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
    ):
        answer = asker.ask("GET", target)
        assert answer.status in {400, 404}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


DISPOSITIONS = {
    "a%22b": 'filename="a\\"b"',
    "a%22%3B%20filename%3Devil.exe": 'filename="a\\"; filename=evil.exe"',
    "%C3%A9": "filename=\"_\"; filename*=UTF-8''%C3%A9",
    "%E2%80%AEgpj.exe": "filename=\"_gpj.exe\"; filename*=UTF-8''%E2%80%AEgpj.exe",
    "a%20b": 'filename="a b"',
    "%2525": "filename=\"%25\"; filename*=UTF-8''%2525",
    "a'b": "filename=a'b",
}


def test_45_names_in_headers(asker: Asker, folder: str) -> None:
    for name, disposition in DISPOSITIONS.items():
        target = f"{NATIVE}{folder}/{name}"
        stored = asker.ask("PUT", target, body=b"x")
        assert stored.headers["location"].isascii()
        for answer in (asker.ask("GET", target), asker.ask("HEAD", target, "Connection: close")):
            assert answer.headers["content-disposition"] == f"attachment; {disposition}", name
    split = "%0d%0aSet-Cookie:%20a=b"
    for target in (f"{NATIVE}a{split}", f"/nowhere{split}", f"{MLFLOW}/artifacts?path=a{split}"):
        received = asker.all_of(asker.head("GET", target, "Connection: close"))
        assert b"\r\nset-cookie" not in received.lower(), target


def test_46_what_clients_write_makes_no_lines_in_logs(
    asker: Asker, stranger: Asker, guarded: Guarded
) -> None:
    legal = ["User-Agent: a\xe9\xff\tc\\n%0aINFO: forged", "X-Request-Id: a\xe9 b"]
    hostile = ["User-Agent: \x1b[31m", "X-Request-Id: \x7f", "X-Forwarded-For: \x1b]0;x", "Referer: \x01"]
    targets = [
        f"{NATIVE}%1b%5b31m%0aINFO:%20forged",
        f"{NATIVE}%E2%80%AEx",
        "/%0d%0aINFO:%20forged",
        "/\x1b[31m",
    ]
    for who in (asker, stranger):
        for target in targets:
            for method in ("GET", "PUT", "DELETE"):
                for headers in (legal, *([each] for each in hostile)):
                    closing = ["Content-Length: 0", "Connection: close"]
                    status = who.last(who.head(method, target, *headers, *closing)).status
                    assert status == 400 if headers is not legal else status < 500, (target, headers)
    assert "forged" in complete_log(guarded.server)
    for log in (guarded.server.log_file, guarded.audit_log):
        content = log.read_bytes()
        assert b"forged" in content
        assert all(32 <= byte < 127 or byte == 10 for byte in content), log
        assert not any(line.startswith(b"INFO: forged") for line in content.splitlines())
    assert [json.loads(line) for line in guarded.audit_log.read_text().splitlines()]


@pytest.fixture(scope="module")
def secretive(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server over S3 with presigned URLs and an audit log."""
    directory = tmp_path_factory.mktemp("secretive")
    token, stanza = token_stanza("tester", "all:")
    known, audit_log = access_file(directory, stanza), directory / "audit.jsonl"
    flags = ("--presign", "--access-file", str(known), "--audit-log", str(audit_log))
    root, log_file = place.root("secretive"), directory / "log"
    with running(root, *flags, environment=place.environment, log_file=log_file) as server:
        yield Guarded(server, token, token, ec_key(), audit_log)


def test_46_secrets_are_in_no_log_and_no_answer(
    secretive: Guarded, place: Place, client: httpx.Client
) -> None:
    server, token = secretive.server, secretive.token
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    wrong = "apx_" + "W" * 43
    answers: list[Answer] = []
    given = {
        f"Authorization: Bearer {token}": 200,
        f"Authorization: Basic {basic}": 200,
        f"Authorization: Bearer {wrong}": 401,
        f"Authorization: Basic {base64.b64encode(f'canary-user:{wrong}'.encode()).decode()}": 401,
        f"Authorization: Digest {wrong}": 401,
        f"Cookie: session={wrong}": 401,
    }
    with Asker(server) as asker:
        for header, status in given.items():
            for method, target in (("PUT", f"{NATIVE}a"), ("GET", f"{NATIVE}a"), ("GET", f"{NATIVE}missing")):
                answers.append(asker.ask(method, target, header, body=b"x" if method == "PUT" else b""))
                assert answers[-1].status in ({status, 201, 404} if status == 200 else {401})
            answers.append(asker.ask("GET", f"{NATIVE}?token={token}", header))
            assert answers[-1].status == 400
            answers.append(asker.ask("PUT", f"{NATIVE}../x", header, body=b"x"))
            answers.append(asker.last(asker.head("PUT", f"{NATIVE}x", header, "Transfer-Encoding: gzip")))
        url = json.loads(asker.ask("GET", f"{MLFLOW}/presigned/a", next(iter(given))).body)["url"]
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as authorized:
        upload = Multipart(server, authorized, "d", parts=1)
        parts = [{"part_number": 1, "etag": client.put(upload.urls[0], content=b"x").headers["etag"]}]
        assert upload.complete(parts, "unknown").status_code == 404
        assert upload.complete(parts).status_code == 200
    signatures = [each.rpartition("X-Amz-Signature=")[2].partition("&")[0] for each in (url, upload.urls[0])]
    assert all(len(signature) == 64 for signature in signatures)
    secrets = [token, basic, wrong, *signatures, "X-Amz-Signature", place.store.secret_key, "canary-user"]
    secrets += [header.split()[-1] for header in given]
    logs = complete_log(server) + secretive.audit_log.read_text()
    assert "/v1/artifacts/missing" in logs
    for secret in secrets:
        assert secret not in logs
        assert not any(secret in str(answer) for answer in answers)


def test_46_secrets_are_not_in_the_printed_configuration(
    no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_PASSWORD",
    ):
        monkeypatch.setenv(name, "canary-secret")
    monkeypatch.setenv("MLFLOW_S3_UPLOAD_EXTRA_ARGS", '{"SSECustomerKey": "canary-secret"}')
    loaded = load({"default_artifact_root": "s3://bucket/x"}, None)
    assert "s3://bucket/x" in loaded.printed()
    assert "canary-secret" not in loaded.printed() + repr(loaded)
