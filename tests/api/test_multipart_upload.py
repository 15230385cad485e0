"""Uploads past the server, in parts that presigned URLs take: what they are told, store and leave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.answers import BAD, MISSING, told
from tests.support.interposer_exchange import Exchange
from tests.support.presigning import (
    FIRST,
    LAST,
    UPLOAD_SECONDS,
    Begin,
    ContentOf,
    Left,
    Multipart,
    Place,
    query,
)
from tests.support.server import Server
from tests.support.waiting import wait_until


class TestUpload:
    def test_is_told_where_to_put_each_part(self, begin: Begin, place: Place, folder: str) -> None:
        upload = begin("a b.bin", 3)
        assert upload.created.status_code == 200
        assert upload.created.headers["cache-control"] == "no-store"
        body = upload.created.json()
        assert body.keys() == {"upload_id", "credentials"}
        assert [each.keys() for each in body["credentials"]] == [{"url", "part_number", "headers"}] * 3
        assert [(each["part_number"], each["headers"]) for each in body["credentials"]] == [
            (number, {}) for number in (1, 2, 3)
        ]
        for number, url in enumerate(upload.urls, 1):
            assert url.startswith(f"{place.public.url}/{place.bucket}/root/{folder}/a%20b.bin?")
            asked = query(url)
            assert (asked["partNumber"], asked["uploadId"]) == (str(number), upload.upload_id)
            assert asked["X-Amz-Expires"] == UPLOAD_SECONDS
        upload.abort()

    def test_is_invisible_until_its_completion_and_whole_then(
        self, begin: Begin, content_of: ContentOf, left: Left
    ) -> None:
        upload = begin()
        parts = upload.send(FIRST, LAST)
        assert content_of(upload) is None
        completed = upload.complete(parts)
        assert (completed.status_code, completed.json()) == (200, {})
        assert content_of(upload) == FIRST + LAST
        assert left() == []

    @pytest.mark.parametrize("api", ["api", "ajax-api"])
    def test_is_taken_on_both_twins_of_the_routes(
        self, begin: Begin, content_of: ContentOf, presigning: Server, api: str
    ) -> None:
        upload = begin(parts=1)
        upload.base = f"{presigning.url}/{api}/2.0/mlflow-artifacts/mpu"
        assert upload.complete(upload.send(b"one")).status_code == 200
        assert content_of(upload) == b"one"

    def test_takes_etags_without_their_quotes_and_unknown_fields(
        self, begin: Begin, content_of: ContentOf
    ) -> None:
        upload = begin(parts=1)
        parts = [{**part, "etag": part["etag"].strip('"'), "new": 1} for part in upload.send(b"one")]
        assert upload.complete(parts).status_code == 200
        assert content_of(upload) == b"one"

    @pytest.mark.parametrize(
        ("name", "media_type"),
        [("a.json", "text/plain"), ("a.png", "image/png"), ("MLmodel", "text/plain"), ("x", None)],
    )
    def test_has_the_type_that_its_name_tells_and_what_the_operator_wants_of_uploads(
        self, begin: Begin, place: Place, name: str, media_type: str | None
    ) -> None:
        upload = begin(name, 1)
        upload.complete(upload.send(b"one"))
        stored = place.client.head_object(Bucket=place.bucket, Key=upload.key)
        assert stored["ContentType"] == (media_type or "application/octet-stream")
        assert stored["Metadata"]["team"] == "vision"
        assert stored["CacheControl"] == "no-transform"

    def test_replaces_the_artifact_before(
        self, begin: Begin, content_of: ContentOf, presigning: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{presigning.native}/{folder}/model.bin", content=b"before")
        upload = begin(parts=1)
        parts = upload.send(b"after")
        assert content_of(upload) == b"before"
        assert upload.complete(parts).status_code == 200
        assert content_of(upload) == b"after"

    @pytest.mark.parametrize(
        "directory", ["", "with space", "日本語", "deep/er/est"], ids=["root", "space", "unicode", "deep"]
    )
    def test_is_stored_in_any_directory(
        self,
        presigning: Server,
        client: httpx.Client,
        content_of: ContentOf,
        folder: str,
        directory: str,
        left: Left,
    ) -> None:
        below, name = (f"{folder}/{directory}", "モ b.bin") if directory else ("", f"{folder}.bin")
        upload = Multipart(presigning, client, below, name, 1)
        assert upload.complete(upload.send(b"one")).status_code == 200
        assert content_of(upload) == b"one"
        assert left() == []

    def test_may_have_10_000_parts(self, begin: Begin, left: Left) -> None:
        upload = begin(parts=10_000)
        assert [query(url)["partNumber"] for url in upload.urls[::1111]] == [
            str(number) for number in range(1, 10_001, 1111)
        ]
        assert len(set(upload.urls)) == 10_000
        # MLflow's client sends every URL back, which makes a body of several MB. The store knows no part.
        parts = [
            {"part_number": n, "etag": f'"{n:032x}"', "url": url} for n, url in enumerate(upload.urls, 1)
        ]
        assert told(upload.complete(parts)) in {BAD, MISSING}
        assert upload.abort().status_code == 200
        assert left() == []

    def test_that_is_aborted_leaves_nothing(
        self, begin: Begin, content_of: ContentOf, place: Place, left: Left
    ) -> None:
        upload = begin()
        upload.send(FIRST, LAST)
        assert place.open_uploads(upload.key) == [upload.key]
        aborted = upload.abort()
        assert (aborted.status_code, aborted.json()) == (200, {})
        assert content_of(upload) is None
        assert left() == []


class TestRaces:
    def test_of_two_completions_one_wins_and_the_artifact_is_whole(
        self, begin: Begin, content_of: ContentOf, place: Place, left: Left
    ) -> None:
        for _ in range(5):
            upload = begin()
            parts = upload.send(FIRST, LAST)
            with ThreadPoolExecutor(2) as clients:
                answers = [clients.submit(upload.complete, parts) for _ in range(2)]
                statuses = sorted(each.result().status_code for each in answers)
            assert statuses in ([200, 200], [200, 404])
            assert content_of(upload) == FIRST + LAST
            assert left() == []
            place.client.delete_object(Bucket=place.bucket, Key=upload.key)

    def test_of_completion_and_abort_one_wins_and_nothing_is_torn(
        self, begin: Begin, content_of: ContentOf, place: Place, left: Left
    ) -> None:
        for _ in range(8):
            upload = begin()
            parts = upload.send(FIRST, LAST)
            with ThreadPoolExecutor(2) as clients:
                completed, aborted = clients.submit(upload.complete, parts), clients.submit(upload.abort)
                statuses = completed.result().status_code, aborted.result().status_code
            stored = content_of(upload)
            assert (statuses, stored) in [((200, 404), FIRST + LAST), ((404, 200), None)]
            assert left() == []
            place.client.delete_object(Bucket=place.bucket, Key=upload.key)

    def test_an_abort_that_the_store_gets_after_the_completion_has_lost(
        self, begin: Begin, content_of: ContentOf, place: Place, left: Left
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        done, answered = threading.Event(), threading.Event()

        def answer_late(exchange: Exchange) -> None:
            response = exchange.forward()
            done.set()
            answered.wait(30)
            exchange.reply(response)

        place.private.on("CompleteMultipartUpload", answer_late)
        with ThreadPoolExecutor(1) as clients:
            completed = clients.submit(upload.complete, parts)
            assert done.wait(30)
            aborted = upload.abort()
            answered.set()
            assert completed.result().status_code == 200
        assert told(aborted) == MISSING
        assert content_of(upload) == b"one"
        assert left() == []

    def test_a_completion_that_the_store_gets_after_the_abort_has_lost(
        self, begin: Begin, content_of: ContentOf, place: Place, left: Left
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        came, aborted = threading.Event(), threading.Event()

        def forward_late(exchange: Exchange) -> None:
            came.set()
            aborted.wait(30)
            exchange.reply(exchange.forward())

        place.private.on("CompleteMultipartUpload", forward_late)
        with ThreadPoolExecutor(1) as clients:
            completed = clients.submit(upload.complete, parts)
            assert came.wait(30)
            assert upload.abort().status_code == 200
            aborted.set()
            assert told(completed.result()) == MISSING
        assert content_of(upload) is None
        assert left() == []


def test_an_abandoned_upload_is_swept_and_those_of_others_stay(
    place: Place, serve: Callable[..., Server], client: httpx.Client
) -> None:
    sweeping = serve(
        *("--presign", "--s3-abandoned-upload-age", "2", "--sweep-interval", "0.5"),
        root=place.root("swept"),
        **place.store.environment(),
    )
    theirs = place.begin_by_hand("swept/d/theirs.bin")
    theirs.upload_part(1, b"theirs")
    abandoned = Multipart(sweeping, client, "d", "ours.bin")
    assert [query(url)["X-Amz-Expires"] for url in abandoned.urls] == ["2", "2"]
    client.put(abandoned.urls[0], content=FIRST)
    assert place.open_uploads("swept/") == ["swept/d/ours.bin", "swept/d/theirs.bin"]
    assert len(place.records("swept")) == 1
    wait_until(lambda: not place.records("swept"), "the removal of the abandoned upload's record")
    assert place.open_uploads("swept/") == ["swept/d/theirs.bin"]
    assert told(abandoned.complete([{"part_number": n, "etag": "e"} for n in (1, 2)])) == MISSING
    assert theirs.sizes() == [6]
    theirs.abort()
