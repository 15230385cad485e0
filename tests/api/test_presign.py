"""Transfers past the server: where they are possible, by which endpoint, and what nobody is told of them."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.answers import told
from tests.support.interposer_actions import answer
from tests.support.presigning import (
    FIRST,
    LAST,
    Begin,
    Place,
    presigned,
    query,
)
from tests.support.server import Server


def test_what_is_possible_is_announced_only_where_the_operator_allows_it(
    presigning: Server, plain: Server, client: httpx.Client
) -> None:
    for api in ("api", "ajax-api"):
        for server, allowed in ((presigning, True), (plain, False)):
            info = client.get(f"{server.url}/{api}/3.0/mlflow/server-info").json()
            assert info["multipart_uploads_enabled"] is info["multipart_downloads_enabled"] is allowed


def test_without_presign_everything_is_501_in_the_words_that_make_clients_fall_back(
    begin: Begin, plain: Server, client: httpx.Client, folder: str
) -> None:
    upload = begin(parts=1)
    parts = upload.send(b"one")
    base, upload.base = upload.base, f"{plain.mlflow}/mpu"
    refused = [
        upload.post("create", {"path": "x", "num_parts": 1}),
        upload.complete(parts),
        upload.abort(),
        client.get(f"{plain.mlflow}/presigned/{folder}/a"),
    ]
    assert [told(each) for each in refused] == [(501, "NOT_IMPLEMENTED")] * 4
    words = ["upload"] * 3 + ["download"]
    for each, word in zip(refused, words, strict=True):
        beginning = f"Multipart {word} is not supported for the current artifact repository"
        assert each.json()["message"].startswith(beginning)
    upload.base = base
    assert upload.complete(parts).status_code == 200


def test_clients_are_sent_to_the_public_endpoint_and_the_server_never_goes_there(
    begin: Begin, presigning: Server, redirecting: Server, client: httpx.Client, place: Place, folder: str
) -> None:
    place.private.clear()
    place.public.clear()
    upload = begin()
    assert upload.complete(upload.send(FIRST, LAST)).status_code == 200
    urls = [
        *upload.urls,
        presigned(presigning, client, f"{folder}/model.bin"),
        client.get(f"{redirecting.native}/{folder}/model.bin").headers["location"],
    ]
    assert {f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" for url in urls} == {place.public.url}
    assert client.get(urls[-2]).content == client.get(urls[-1]).content == FIRST + LAST
    assert place.public.operations() == ["UploadPart"] * 2 + ["GetObject"] * 2
    assert {"CreateMultipartUpload", "CompleteMultipartUpload", "HeadObject"} <= set(
        place.private.operations()
    )
    assert not {"UploadPart"} & set(place.private.operations())


def test_neither_log_nor_errors_tell_a_url_or_a_secret(
    begin: Begin, presigning: Server, redirecting: Server, client: httpx.Client, place: Place, folder: str
) -> None:
    upload = begin()
    parts = upload.send(FIRST, LAST)
    secrets = {place.store.access_key, place.store.secret_key, "X-Amz-", "uploadId="}
    secrets |= {value for url in upload.urls for value in parse_qs(urlsplit(url).query)["X-Amz-Signature"]}
    errors = [
        upload.complete(parts[:1]),
        upload.complete([{**part, "part_number": part["url"]} for part in parts]),
        upload.complete([{**part, "etag": part["url"]} for part in parts]),
        upload.complete(parts, upload.urls[0]),
        upload.abort(upload.urls[0]),
        upload.post("create", {"path": upload.urls[0] + "/..", "num_parts": 1}),
    ]
    for status, code in ((403, "AccessDenied"), (403, "SignatureDoesNotMatch"), (400, "Unheard")):
        place.private.on(
            "CompleteMultipartUpload", answer(status, code, f"at {upload.urls[0]} {place.store.secret_key}")
        )
        errors.append(upload.complete(parts))
    assert [each.status_code for each in errors] == [400, 400, 400, 404, 404, 400, 403, 403, 403]
    assert upload.complete(parts).status_code == 200
    url = client.get(f"{redirecting.native}/{folder}/model.bin").headers["location"]
    secrets |= {
        query(url)["X-Amz-Signature"],
        query(presigned(presigning, client, f"{folder}/model.bin"))["X-Amz-Signature"],
    }
    for text in [*(each.text for each in errors), presigning.log(), redirecting.log()]:
        assert not [secret for secret in secrets if secret in text]
