"""39 to 43: JSON, multipart uploads, forms, archives, and parameters that would lead elsewhere."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.hostile.asking import INVALID, MLFLOW, NATIVE, Asker, code
from tests.support.archives import FORM, file_part, form
from tests.support.bystander import unchanged
from tests.support.presigning import FIRST, LAST, Multipart, Place
from tests.support.raw import Answer
from tests.support.server import Server

MISSING = (404, "RESOURCE_DOES_NOT_EXIST")
STEPS = ("create", "complete", "abort")
JSON = "Content-Type: application/json"
DEEP = 100_000


def post(asker: Asker, step: str, body: bytes, *headers: str, directory: str = "d") -> Answer:
    return asker.ask("POST", f"{MLFLOW}/mpu/{step}/{directory}", *(headers or (JSON,)), body=body)


@pytest.fixture
def direct(presigning: Server) -> Iterator[Asker]:
    with Asker(presigning) as opened:
        yield opened


def test_39_bodies_of_another_type(direct: Asker, place: Place) -> None:
    good = json.dumps({"path": "x", "num_parts": 1}).encode()
    kinds = [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "*/*",
        "",
    ]
    kinds += [
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json, text/plain",
    ]
    with unchanged(place):
        for step in STEPS:
            for kind in kinds:
                answer = post(direct, step, good, f"Content-Type: {kind}")
                assert code(answer) == (415, "INVALID_PARAMETER_VALUE"), kind
            assert post(direct, step, good, "X-A: b").status == 415


def test_39_json_that_two_parsers_could_read_differently_or_choke_on(direct: Asker, place: Place) -> None:
    fields = b'"path": "x", "num_parts": 1, "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]'
    bodies = [
        b"",
        b"{" + fields,
        b"{" + fields + b"} {}",
        b"{" + fields + b', "path": "y"}',
        b"{" + fields + b', "p\\u0061th": "y"}',
        *(b"{" + fields + b', "other": ' + value + b"}" for value in (b"NaN", b"-Infinity", b"[Infinity]")),
        b"{" + fields + b', "other": ' + b"9" * 1_000_000 + b"}",
        b'{"path": "x", "upload_id": "u", "parts": [], "num_parts": ' + b"9" * 1_000_000 + b"}",
        b"{" + fields + b', "other": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        b"[" * DEEP,
        b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        b"{" + fields.replace(b'"x"', b'"\xff"') + b"}",
        b"{" + fields.replace(b'"x"', b'"\xc0\xae"') + b"}",
        b"{" + fields.replace(b'"x"', b'"\\ud800"') + b"}",
        b"{" + fields.replace(b'"x"', b'"a\x00b"') + b"}",
        b"\xef\xbb\xbf{" + fields + b"}",
        ("{" + fields.decode() + "}").encode("utf-16"),
        *(b"null", b"[]", b"1", b'"x"', b"{}", b'{"path": 1}'),
    ]
    with unchanged(place):
        for body in bodies:
            for step in STEPS:
                assert code(post(direct, step, body)) == INVALID, (step, body[:80])


def test_39_json_that_is_too_large(direct: Asker, asker: Asker, place: Place) -> None:
    body = json.dumps({"path": "x", "num_parts": 1, "upload_id": "u"}).encode()
    with unchanged(place):
        for step in ("create", "abort"):
            assert post(direct, step, body.ljust(1024**2 + 1)).status == 413
            chunked = direct.head("POST", f"{MLFLOW}/mpu/{step}/d", JSON, "Transfer-Encoding: chunked")
            with direct.open() as connected:
                connected.sendall(chunked + b"100001\r\n" + body.ljust(1024**2 + 1) + b"\r\n")
                assert connected.recv(12) == b"HTTP/1.1 413"
        # Where there are no such uploads, nothing has to be larger to complete one.
        for asked, size in ((direct, 40_000_000), (asker, 1024**2 + 1)):
            request = asked.head("POST", f"{MLFLOW}/mpu/complete/d", JSON, f"Content-Length: {size}")
            with asked.open() as connected:
                connected.sendall(request)
                assert connected.recv(12) == b"HTTP/1.1 413"


def test_39_json_with_more_values_than_any_request_needs(direct: Asker, place: Place) -> None:
    """They would take many times the memory of their bytes before they are judged."""

    def body(values: bytes, number: int) -> bytes:
        fields = b'"path": "x", "num_parts": 1, "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]'
        return b'{%b, "other": [%b0]}' % (fields, values * number)

    with unchanged(place):
        for values in (b"0,", b"[],", b"{},"):
            many = body(values, 200_000)
            assert len(many) < 1024**2
            for step in STEPS:
                answer = post(direct, step, many)
                assert code(answer) == INVALID, (step, values)
                assert b"more values than any request needs" in answer.body
        # Fewer are taken, and it is the upload that nobody knows.
        for step in ("complete", "abort"):
            assert code(post(direct, step, body(b"0,", 199_000))) == MISSING


def test_40_multipart_uploads_that_cannot_be_completed(
    presigning: Server, direct: Asker, place: Place, client: httpx.Client
) -> None:
    upload = Multipart(presigning, client, "forty")
    one, two = upload.send(FIRST, LAST)
    bad: list[list[dict[str, Any]]] = [
        [],
        [{**one, "part_number": 0}, two],
        [one, {**two, "part_number": 10_001}],
        [one, {**two, "part_number": -1}],
        [two, one],
        [one, one, two],
        [one],
        [two],
        [one, two, {**two, "part_number": 3}],
        [one, {**two, "etag": one["etag"]}],
        [one, {**two, "etag": '"</ETag><PartNumber>1"'}],
    ]

    def say(
        step: str, upload_id: str, parts: object = None, directory: str = "forty", name: str = ""
    ) -> Answer:
        body = {"path": name or upload.name, "upload_id": upload_id, "parts": parts or []}
        return post(direct, step, json.dumps(body).encode(), directory=directory)

    parts = [one, two]
    with unchanged(place):
        for each in bad:
            assert code(say("complete", upload.upload_id, each)) == INVALID, each
        for unknown in ("", "bogus", "../../x", "\x00", "u" * 5000, upload.upload_id + "x"):
            assert code(say("complete", unknown, parts)) == MISSING, unknown
            assert code(say("abort", unknown)) == MISSING, unknown
        for directory, name in (("forty", "other.bin"), ("another", upload.name), ("forty/sub", upload.name)):
            for step in ("complete", "abort"):
                answer = say(step, upload.upload_id, parts, directory, name)
                assert code(answer) == MISSING, (directory, name)
        for number in (0, -1, 10_001, 10**30, 1.5, None, "x"):
            body = json.dumps({"path": "x", "num_parts": number}).encode()
            assert code(post(direct, "create", body)) == INVALID, number
        assert direct.ask("GET", f"{NATIVE}{upload.path}").status == 404
    assert say("complete", upload.upload_id, parts).status == 200
    aborted = Multipart(presigning, client, "forty", "aborted", 1)
    (part,) = aborted.send(b"one")
    assert aborted.abort().status_code == 200
    with unchanged(place):
        assert code(say("complete", upload.upload_id, parts)) == MISSING
        assert code(say("abort", upload.upload_id)) == MISSING
        assert code(say("complete", aborted.upload_id, [part], name="aborted")) == MISSING
        assert code(say("abort", aborted.upload_id, name="aborted")) == MISSING
    assert direct.ask("GET", f"{NATIVE}{upload.path}").body == FIRST + LAST
    assert place.open_uploads("root/") == []
    assert place.records() == set()


def test_41_only_directories_take_forms(asker: Asker) -> None:
    kind = f"Content-Type: {FORM['Content-Type']}"
    with unchanged(asker.server):
        for target in (f"{NATIVE}form", f"{MLFLOW}/artifacts/form", f"{MLFLOW}/artifacts"):
            answer = asker.ask("POST", target, kind, body=form(file_part("x")))
            assert code(answer) == (405, "INVALID_PARAMETER_VALUE"), target
            assert "POST" not in answer.headers["allow"]
        answer = post(asker, "create", form(file_part("x")), kind)
        assert code(answer) == (415, "INVALID_PARAMETER_VALUE")


def test_42_archives_are_opaque_bytes(asker: Asker, folder: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../x", "/etc/x", "a/../../x", ".artifact-proxy/x", "C:\\x"):
            archive.writestr(name, b"evil")
    with unchanged(asker.server):
        for kind in ("application/zip", "application/x-tar", "application/gzip"):
            name = f"{NATIVE}{folder}/archive.zip?extract=true&unpack=1"
            answer = asker.ask(
                "PUT", name, f"Content-Type: {kind}", "X-Extract: true", body=packed.getvalue()
            )
            assert answer.status in {200, 201}
            assert asker.listed(f"{folder}/") == ["archive.zip"]
            assert asker.ask("GET", f"{NATIVE}{folder}/archive.zip").body == packed.getvalue()
        assert asker.ask("DELETE", f"{NATIVE}{folder}").status == 204


def test_43_nothing_that_a_request_names_is_ever_connected_to(
    asker: Asker, direct: Asker, place: Place
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as trap:
        url = f"http://127.0.0.1:{trap.getsockname()[1]}"
        names = (
            "endpoint",
            "endpoint_url",
            "bucket",
            "url",
            "uri",
            "artifact_uri",
            "callback",
            "redirect",
            "root",
        )
        query = "&".join(f"{name}={url}/x" for name in names)
        headers = [
            f"{name}: {url}/x" for name in ("X-Endpoint", "Referer", "X-Wap-Profile", "X-Amz-Copy-Source")
        ]
        headers += [f"Forwarded: host={url}", f"X-Forwarded-Host: {url[7:]}", f"True-Client-IP: {url[7:]}"]
        for who, told in ((asker, (501, "NOT_IMPLEMENTED")), (direct, MISSING)):
            assert who.ask("PUT", f"{NATIVE}forty-three?{query}", *headers, body=b"here").status == 201
            for target in (f"{NATIVE}forty-three", NATIVE, f"{MLFLOW}/artifacts", "/version"):
                assert who.ask("GET", f"{target}?{query}", *headers).status == 200, target
            assert who.ask("GET", f"{NATIVE}forty-three").body == b"here"
            assert who.ask("DELETE", f"{NATIVE}forty-three?{query}", *headers).status == 204
            with unchanged(place):
                for step in ("complete", "abort"):
                    fields: dict[str, Any] = dict.fromkeys(names, url) | {"path": "x", "upload_id": "u"}
                    fields["parts"] = [{"part_number": 1, "etag": "e", "url": url}]
                    assert code(post(who, step, json.dumps(fields).encode(), JSON, *headers)) == told, step
                for path in (f"{url}/x", url.replace("/", "%2f"), "s3://bucket/x", "file:///etc/passwd"):
                    assert code(who.ask("GET", f"{MLFLOW}/presigned/{path}")) == INVALID, path
        begun = post(
            direct, "create", json.dumps({"path": "x", "num_parts": 1, "endpoint": url}).encode(), JSON
        )
        created = json.loads(begun.body)
        assert all(each["url"].startswith(place.public.url) for each in created["credentials"])
        ended = {"path": "x", "upload_id": created["upload_id"]}
        assert post(direct, "abort", json.dumps(ended).encode()).status == 200
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
