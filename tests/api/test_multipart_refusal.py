"""Uploads past the server that are refused: they change nothing, and what was begun can be completed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest

from tests.support.answers import BAD, CONFLICT, MISSING, told
from tests.support.presigning import (
    FIRST,
    LAST,
    MIB,
    Begin,
    ContentOf,
    Left,
    Multipart,
    Part,
    Place,
)
from tests.support.server import Server
from tests.support.waiting import wait_until

BAD_PARTS: dict[str, Callable[[Part, Part], Sequence[object]]] = {
    "none": lambda one, two: [],
    "part 0": lambda one, two: [{**one, "part_number": 0}, one, two],
    "part -1": lambda one, two: [{**one, "part_number": -1}, two],
    "part 10 001": lambda one, two: [one, two, {**two, "part_number": 10_001}],
    "unordered": lambda one, two: [two, one],
    "repeated": lambda one, two: [one, one, two],
    "the last one missing": lambda one, two: [one],
    "the first one missing": lambda one, two: [two],
    "one too many": lambda one, two: [one, two, {**two, "part_number": 3}],
    "ETags exchanged": lambda one, two: [{**one, "etag": two["etag"]}, {**two, "etag": one["etag"]}],
    "another ETag": lambda one, two: [one, {**two, "etag": '"d41d8cd98f00b204e9800998ecf8427e"'}],
    "an empty ETag": lambda one, two: [one, {**two, "etag": ""}],
    "an ETag of XML": lambda one, two: [one, {**two, "etag": '"</ETag><PartNumber>1</PartNumber>"'}],
    "an ETag of controls": lambda one, two: [one, {**two, "etag": "\x00\x1f\r\n"}],
    "an ETag of emoji": lambda one, two: [one, {**two, "etag": "🦆"}],
    "no ETag": lambda one, two: [one, {"part_number": 2}],
    "no number": lambda one, two: [one, {"etag": two["etag"]}],
    "no object": lambda one, two: [one, "two"],
}


class TestRefusal:
    """Whatever is refused changes nothing: the upload can still be completed, or was never begun."""

    @pytest.mark.parametrize("kind", BAD_PARTS)
    def test_of_parts_that_are_not_those_of_the_upload(
        self, begin: Begin, content_of: ContentOf, place: Place, kind: str
    ) -> None:
        upload = begin()
        one, two = upload.send(FIRST, LAST)
        assert told(upload.complete(BAD_PARTS[kind](one, two))) == BAD
        assert content_of(upload) is None
        assert place.open_uploads(upload.key) == [upload.key]
        assert upload.complete([one, two]).status_code == 200
        assert content_of(upload) == FIRST + LAST

    def test_of_parts_that_were_never_sent(self, begin: Begin, content_of: ContentOf, left: Left) -> None:
        upload = begin(parts=1)
        etag = '"d41d8cd98f00b204e9800998ecf8427e"'
        # SeaweedFS says of an upload without any part that there is none.
        assert told(upload.complete([{"part_number": 1, "etag": etag}])) in {BAD, MISSING}
        assert content_of(upload) is None
        assert upload.abort().status_code == 200
        assert left() == []

    def test_of_parts_that_are_too_small(self, begin: Begin, content_of: ContentOf, left: Left) -> None:
        upload = begin()
        assert told(upload.complete(upload.send(b"small", b"smaller"))) == BAD
        assert content_of(upload) is None
        assert upload.complete(upload.send(FIRST, LAST)).status_code == 200
        assert content_of(upload) == FIRST + LAST
        assert left() == []

    @pytest.mark.parametrize(
        "body",
        [
            {"path": "x", "num_parts": 0},
            {"path": "x", "num_parts": -1},
            {"path": "x", "num_parts": 10_001},
            {"path": "x", "num_parts": 10**30},
            {"path": "x", "num_parts": 1.5},
            {"path": "x", "num_parts": None},
            {"path": "", "num_parts": 1},
            {"path": "x/", "num_parts": 1},
            {"path": ".", "num_parts": 1},
            {"path": "x/..", "num_parts": 1},
            {"path": "a\x00b", "num_parts": 1},
            {"path": "%2e%2e", "num_parts": 1},
            {"path": "..\\x", "num_parts": 1},
            {"path": ".artifact-proxy", "num_parts": 1},
            {"path": "n" * 256, "num_parts": 1},
            {"path": 1, "num_parts": 1},
            {"num_parts": 1},
            [],
        ],
        ids=lambda body: json.dumps(body)[:40],
    )
    def test_of_an_upload_that_cannot_be(
        self, presigning: Server, client: httpx.Client, folder: str, body: object, left: Left
    ) -> None:
        assert told(client.post(f"{presigning.mlflow}/mpu/create/{folder}", json=body)) == BAD
        assert left() == []

    @pytest.mark.parametrize(("step", "limit"), [("create", 1), ("complete", 32), ("abort", 1)])
    def test_of_a_body_that_is_too_large(
        self, begin: Begin, client: httpx.Client, step: str, limit: int
    ) -> None:
        """Only completion tells of up to 10 000 parts."""
        upload = begin(parts=1)
        (part,) = upload.send(b"one")
        fields = {"path": upload.name, "num_parts": 1, "upload_id": "unknown", "parts": [part]}
        body = json.dumps(fields).encode().ljust(limit * MIB)
        url, kind = f"{upload.base}/{step}/{quote(upload.directory)}", {"Content-Type": "application/json"}
        assert client.post(url, content=body + b" ", headers=kind).status_code == 413
        assert client.post(url, content=body, headers=kind).status_code == (200 if step == "create" else 404)
        assert upload.complete([part]).status_code == 200

    @pytest.mark.parametrize("step", ["create", "complete", "abort"])
    @pytest.mark.parametrize("directory", ["..%2fx", "%2e%2e", "a//b", "%252e%252e", ".artifact-proxy/x"])
    def test_of_a_path_that_leaves_the_root(
        self, presigning: Server, client: httpx.Client, step: str, directory: str, left: Left
    ) -> None:
        body = {"path": "x", "num_parts": 1, "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}
        assert told(client.post(f"{presigning.mlflow}/mpu/{step}/{directory}", json=body)) == BAD
        assert left() == []

    @pytest.mark.parametrize(
        "upload_id",
        ["", "bogus", "../../x", "a b&c=d", "\x00", "日本", "u" * 5000, "0" * 40 + "_" + "1" * 32],
        ids=["empty", "bogus", "dots", "query", "NUL", "unicode", "long", "like one"],
    )
    def test_of_an_upload_that_is_unknown(self, begin: Begin, upload_id: str) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        assert told(upload.complete(parts, upload_id)) == MISSING
        assert told(upload.abort(upload_id)) == MISSING
        assert upload.complete(parts).status_code == 200

    @pytest.mark.parametrize("where", ["another name", "another directory"])
    def test_of_an_upload_of_another_path(
        self, begin: Begin, content_of: ContentOf, presigning: Server, client: httpx.Client, where: str
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        directory, name = upload.directory, "other.bin"
        if where == "another directory":
            directory, name = f"{directory}/sub", upload.name
        other = Multipart(presigning, client, directory, name, 1)
        assert told(other.complete(parts, upload.upload_id)) == MISSING
        assert told(other.abort(upload.upload_id)) == MISSING
        assert content_of(other) is None
        assert upload.complete(parts).status_code == other.abort().status_code == 200

    def test_of_an_upload_that_somebody_else_began_at_the_store(self, begin: Begin, place: Place) -> None:
        upload = begin(parts=1)
        theirs = place.begin_by_hand(upload.key)
        part = theirs.upload_part(1, b"theirs")
        assert told(upload.complete([{"part_number": 1, "etag": part}], theirs.upload_id)) == MISSING
        assert told(upload.abort(theirs.upload_id)) == MISSING
        assert theirs.sizes() == [6]
        theirs.abort()
        assert upload.complete(upload.send(b"ours")).status_code == 200

    def test_of_an_upload_whose_body_the_server_itself_is_receiving(
        self, begin: Begin, content_of: ContentOf, presigning: Server, client: httpx.Client, place: Place
    ) -> None:
        upload = begin(parts=1)
        upload.abort()
        go_on = threading.Event()

        def body() -> Iterator[bytes]:
            yield FIRST * 4  # enough for two parts of the server's
            assert go_on.wait(30)
            yield LAST

        url = f"{presigning.native}/{upload.directory}/{upload.name}"
        with ThreadPoolExecutor(1) as sender:
            sent = sender.submit(client.put, url, content=body())
            try:
                wait_until(lambda: place.open_uploads(upload.key), "an upload of the server's own")
                found = place.client.list_multipart_uploads(Bucket=place.bucket)["Uploads"]
                (upload_id,) = [each["UploadId"] for each in found if each["Key"] == upload.key]
                assert told(upload.abort(upload_id)) == MISSING
                assert told(upload.complete([{"part_number": 1, "etag": "e"}], upload_id)) == MISSING
            finally:
                go_on.set()
            assert sent.result().status_code == 201
        assert content_of(upload) == FIRST * 4 + LAST

    def test_of_a_second_completion_and_of_an_abort_after_completion(
        self, begin: Begin, content_of: ContentOf
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        assert upload.complete(parts).status_code == 200
        assert told(upload.complete(parts)) == MISSING
        assert told(upload.abort()) == MISSING
        assert content_of(upload) == b"one"

    def test_of_a_completion_after_an_abort_and_of_a_second_abort(
        self, begin: Begin, content_of: ContentOf
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        assert upload.abort().status_code == 200
        assert told(upload.complete(parts)) == MISSING
        assert told(upload.abort()) == MISSING
        assert content_of(upload) is None

    def test_where_a_directory_is_in_the_way(
        self, begin: Begin, presigning: Server, client: httpx.Client, folder: str, left: Left
    ) -> None:
        url = f"{presigning.native}/{folder}/model.bin"
        client.put(f"{url}/child", content=b"x").raise_for_status()
        assert told(begin().created) == CONFLICT
        assert left() == []
        assert client.get(f"{url}/child").content == b"x"

    def test_where_a_parent_is_a_file(
        self, presigning: Server, client: httpx.Client, folder: str, left: Left
    ) -> None:
        client.put(f"{presigning.native}/{folder}/file", content=b"x").raise_for_status()
        assert told(Multipart(presigning, client, f"{folder}/file").created) == CONFLICT
        assert left() == []

    def test_where_a_directory_has_come_into_the_way(
        self, begin: Begin, presigning: Server, client: httpx.Client, folder: str
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        url = f"{presigning.native}/{folder}/model.bin"
        client.put(f"{url}/child", content=b"x").raise_for_status()
        assert told(upload.complete(parts)) == CONFLICT
        client.delete(f"{url}/child").raise_for_status()
        assert upload.complete(parts).status_code == 200

    def test_of_every_write_by_a_server_that_only_reads(
        self, begin: Begin, redirecting: Server, presigning: Server
    ) -> None:
        upload = begin(parts=1)
        parts = upload.send(b"one")
        upload.base = f"{redirecting.mlflow}/mpu"
        refused = [
            upload.post("create", {"path": "x", "num_parts": 1}),
            upload.complete(parts),
            upload.abort(),
        ]
        assert [told(each) for each in refused] == [(403, "PERMISSION_DENIED")] * 3
        upload.base = f"{presigning.mlflow}/mpu"
        assert upload.complete(parts).status_code == 200
