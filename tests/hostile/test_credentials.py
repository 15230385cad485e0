"""34 to 38: who somebody is, and what nobody is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from fastapi.routing import iter_route_contexts

from app import config
from app.identity import tokens
from app.main import create_app, open_storage
from app.settings import Settings
from tests.hostile.asking import INVALID, MLFLOW, NATIVE, Asker, code
from tests.hostile.conftest import ISSUER, Guarded
from tests.support.access import access_file, token_stanza
from tests.support.bystander import unchanged
from tests.support.oidc import claims as claims_of
from tests.support.oidc import ec_key, rsa_key
from tests.support.presigning import Place
from tests.support.server import Server, running
from tests.support.variants import VARIED

UNKNOWN = (401, "UNAUTHENTICATED")
JSON = "Content-Type: application/json"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def assert_nobody(stranger: Asker, *headers: str) -> None:
    """401 with both challenges, for reading and writing; with one where a foreign page has it asked."""
    challenges = 1 if "Sec-Fetch-Site: cross-site" in headers else 2
    for request in (
        stranger.head("GET", NATIVE, *headers, "Connection: close"),
        stranger.head("PUT", f"{NATIVE}a", *headers, "Content-Length: 1", "Connection: close") + b"x",
    ):
        received = stranger.all_of(request)
        assert received.startswith(b"HTTP/1.1 401 "), (headers, received)
        assert received.lower().count(b"\r\nwww-authenticate: ") == challenges, headers
        assert b'"error_code":"UNAUTHENTICATED"' in received, headers


def test_34_what_is_no_credential(stranger: Asker, guarded: Guarded) -> None:
    token = guarded.token
    bad = [
        [],
        ["Authorization:"],
        ["Authorization: Bearer"],
        ["Authorization: Basic"],
        ["Authorization: Basic !!!"],
        ["Authorization: Basic " + encoded(b"no colon")],
        ["Authorization: Basic " + encoded(b"user:")],
        ["Authorization: Basic " + encoded(b"us\x00er:" + token.encode())],
        ["Authorization: Basic " + encoded(b"user:" + token.encode() + b"\x00")],
        ["Authorization: Basic " + encoded(b"user:\xff\xfe")],
        ["Authorization: Basic " + encoded(f"user:{token}".encode())[:-3]],
        [f"Authorization: Bearer {token}", f"Authorization: Bearer {token}"],
        [f"Authorization: Bearer {token}", "Authorization: Basic x"],
        [f"Authorization: Bearer {token}x"],
        [f"Authorization: Bearer {token[:-1]}"],
        [f"Authorization: Bearer {token.upper()}"],
        [f"Authorization: Bearer {token} {token}"],
        [f"Authorization: Digest {token}"],
        [f"Authorization: {token}"],
        [f"X-Authorization: Bearer {token}"],
        [f"Proxy-Authorization: Bearer {token}"],
        [f"Cookie: token={token}"],
        [f"Cookie: artifact-proxy-session={token}", "Sec-Fetch-Site: cross-site"],
        ["Authorization: Bearer " + "x" * 65536],
        ["Authorization: Basic " + encoded(b"user:" + b"x" * 48_000)],
        ["Authorization: Bearer apx_" + "A" * 43],
        ["Authorization: Bearer \xff\xfe"],
    ]
    with unchanged(stranger.server):
        for headers in bad:
            assert_nobody(stranger, *headers)
    good = [f"Authorization: bearer {token}", "Authorization: BASIC " + encoded(f"any:{token}".encode())]
    for header in good:
        assert stranger.ask("GET", NATIVE, header).status == 200


def test_34_every_known_token_is_compared_in_constant_time() -> None:
    made = [tokens.new_token() for _ in range(3)]
    known = tokens.StaticTokens(
        [tokens.StaticToken(str(n), tokens.digest_of(each), None, (), ()) for n, each in enumerate(made)]
    )
    for given in (*made, tokens.new_token()):
        with patch("app.identity.tokens.hmac.compare_digest", wraps=hmac.compare_digest) as compared:
            known.identify(given)
        assert compared.call_count == len(made)


def jose(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None = None) -> str:
    """A JSON Web Token by hand, with an HMAC or with nothing for a signature."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(payload).encode())}"
    signature = b"" if secret is None else hmac.digest(secret, signed.encode(), hashlib.sha256)
    return f"{signed}.{part(signature)}"


def test_35_tokens_of_issuers_that_prove_nothing(stranger: Asker, guarded: Guarded) -> None:
    key, claims = guarded.key, claims_of(ISSUER)
    good = key.sign(claims)
    header, payload, signature = good.split(".")
    other_payload = key.sign(claims_of(ISSUER, sub="root")).split(".")[1]
    public = key.pem().encode()
    bad = [
        *(jose({"alg": alg, "typ": "JWT"}, claims) for alg in ("none", "None", "NONE", "nOnE", "", "ES256")),
        *(
            jose({"alg": "HS256", "kid": key.key_id}, claims, secret)
            for secret in (public, public.strip(), b"")
        ),
        key.sign(claims_of(ISSUER, exp=1)),
        key.sign(claims_of(ISSUER, exp=None)),
        key.sign(claims_of(ISSUER, nbf=2**40)),
        key.sign(claims_of(ISSUER, aud="another")),
        key.sign(claims_of(ISSUER, aud=None)),
        key.sign(claims_of("https://evil.example")),
        key.sign(claims_of(ISSUER, iss=None)),
        key.sign(claims_of(ISSUER, sub=None)),
        ec_key("another").sign(claims),
        ec_key("another").sign(claims, kid=key.key_id),
        ec_key("another").sign(claims, jwk=ec_key("another").jwk(), jku="http://127.0.0.1:1/keys"),
        rsa_key().sign(claims),
        f"{header}.{payload}.",
        f"{header}.{payload}",
        f"{header}.{other_payload}.{signature}",
        f"{header}..{signature}",
        "..",
        "a.b.c",
    ]
    with unchanged(stranger.server):
        for token in bad:
            assert_nobody(stranger, f"Authorization: Bearer {token}")
            assert_nobody(stranger, "Authorization: Basic " + encoded(f"x:{token}".encode()))
    assert stranger.ask("GET", NATIVE, f"Authorization: Bearer {good}").status == 200


def test_36_a_credential_in_the_query_is_refused_and_never_logged(
    asker: Asker, stranger: Asker, guarded: Guarded, folder: str
) -> None:
    canary = "canary-in-a-query"
    names = ["access_token", "token", "api_key", "API_KEY", "%74oken", "password", "X-Amz-Signature", "sig"]
    named = f"{NATIVE}{folder}"
    changes = [("PUT", named, b"new"), ("PUT", f"{named}-2", b"new"), ("DELETE", named, b"")]
    body = json.dumps({"path": "x", "num_parts": 1, "upload_id": "u", "parts": []}).encode()
    changes += [("POST", f"{MLFLOW}/mpu/{step}/{folder}", body) for step in ("create", "complete", "abort")]
    assert asker.ask("PUT", named, body=b"old").status == 201
    with unchanged(asker.server):
        for name in names:
            for who in (asker, stranger):
                for target in (NATIVE, f"{MLFLOW}/artifacts", f"{NATIVE}a", "/nowhere", "/health"):
                    for query in (f"{name}={canary}", f"path=d&{name}={canary}"):
                        answer = who.ask("GET", f"{target}?{query}")
                        assert code(answer) == INVALID, (target, query)
                        assert canary not in str(answer)
                for method, target, sent in changes:
                    answer = who.ask(method, f"{target}?{name}={canary}", JSON, body=sent)
                    assert code(answer) == INVALID, (method, target, name)
                    assert canary not in str(answer)
    for log in (guarded.server.log_file, guarded.audit_log):
        assert canary not in log.read_text()


def test_37_a_foreign_or_null_origin_on_a_write(asker: Asker, folder: str) -> None:
    foreign = [
        "https://evil.example",
        "null",
        "http://127.0.0.1:1",
        "",
        "http://127.0.0.1.evil.example",
        "file://",
    ]
    port = asker.server.url.rpartition(":")[2]
    with unchanged(asker.server):
        for origin in foreign:
            for method, target in (
                ("PUT", NATIVE + folder),
                ("DELETE", NATIVE + folder),
                ("POST", f"{MLFLOW}/mpu/create/{folder}"),
            ):
                answer = asker.ask(
                    method, target, f"Origin: {origin}", body=b"x" if method != "DELETE" else b""
                )
                assert code(answer) == (403, "PERMISSION_DENIED"), (origin, method)
            read = asker.ask("GET", NATIVE, f"Origin: {origin}")
            assert not any(name.startswith("access-control") for name in read.headers)
    own = f"127.0.0.1:{port}"
    request = asker.head("PUT", NATIVE + folder, f"Origin: http://{own}", "Content-Length: 0", host=own)
    assert asker.send(request).status == 201


class Served(NamedTuple):
    settings: Settings
    server: Server
    """Has these settings, and knows somebody."""
    watched: Server | Place


@pytest.fixture(
    params=[{}, {"presign": True}, VARIED, {"ui": False}],
    ids=["by default", "presigning", "varied", "without the page"],
)
def served(
    request: pytest.FixtureRequest,
    guarded: Guarded,
    place: Place,
    tmp_path: Path,
    no_variables: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    given: dict[str, str | bool] = request.param
    directory = tmp_path / "root"
    directory.mkdir()
    root = place.root("thirty-eight") if "presign" in given else directory
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    settings = config.load({"default_artifact_root": str(root)} | given, None).settings
    if not given:
        yield Served(settings, guarded.server, guarded.server)
        return
    flags = ["--access-file", str(access_file(tmp_path, token_stanza("somebody", "all:")[1]))]
    for field, wanted in given.items():
        flag = config.flag_name(field)
        flags += (
            [flag] if wanted is True else ["--no-" + flag[2:]] if wanted is False else [flag, str(wanted)]
        )
    with running(root, *flags, environment=place.environment, log_file=tmp_path / "log") as server:
        yield Served(settings, server, place if "presign" in given else server)


def test_38_every_route_and_method_needs_a_credential(served: Served) -> None:
    settings, server, watched = served
    with closing(open_storage(settings, prepare=True)) as storage:
        app = create_app(settings, storage)
    targets = {str(route.path_format) for route in iter_route_contexts(app.routes)}
    targets |= {
        "/docs/static/swagger-ui.css",
        "/nowhere",
        "/",
        "/v1/artifacts",
        "//health",
        "/health/",
        "/%68ealth",
    }
    assert {"/health", "/openapi.json", "/docs", f"{MLFLOW}/mpu/create/{{directory}}"} <= targets
    methods = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND")
    answered = set()
    with Asker(server) as stranger, unchanged(watched):
        for prefix in {"", settings.static_prefix, settings.root_path}:
            for target in targets:
                path = prefix + target.replace("{", "").replace("}", "")
                for method in methods:
                    # Its answer has the length of a body, and none.
                    end = ["Connection: close"] if method == "HEAD" else []
                    if stranger.ask(method, path, *end).status != 401:
                        answered.add((method, path))
    paths = ["/health", "/ready", *(["/", "/ui", "/ui/", "/ui/static/path"] if settings.ui else [])]
    public = {prefix + path for prefix in ("", settings.static_prefix) for path in paths}
    assert answered == {(method, path) for method in ("GET", "HEAD") for path in public}


@pytest.fixture(autouse=True)
def _nothing_of_the_credentials_in_the_logs(guarded: Guarded) -> Any:
    yield
    for log in (guarded.server.log_file, guarded.audit_log):
        assert guarded.token not in log.read_text()
