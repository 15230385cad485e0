"""Downloads past the server: what a presigned URL gives, and for what there is none."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from tests.support.answers import BAD, MISSING, told
from tests.support.presigning import (
    Place,
    presigned,
    query,
)
from tests.support.server import Server


class TestDownload:
    @pytest.mark.parametrize("api", ["api", "ajax-api"])
    def test_is_answered_with_a_url_and_the_size(
        self, presigning: Server, client: httpx.Client, place: Place, folder: str, api: str
    ) -> None:
        client.put(f"{presigning.native}/{folder}/a%20b.txt", content=b"0123456789")
        given = client.get(f"{presigning.url}/{api}/2.0/mlflow-artifacts/presigned/{folder}/a%20b.txt")
        assert given.status_code == 200
        assert given.headers["cache-control"] == "no-store"
        body = given.json()
        assert body == {"url": body["url"], "headers": {}, "file_size": 10}
        assert body["url"].startswith(f"{place.public.url}/{place.bucket}/root/{folder}/a%20b.txt?")
        assert client.get(body["url"]).content == b"0123456789"
        part = client.get(body["url"], headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")

    def test_holds_for_reading_that_artifact_alone(
        self, presigning: Server, client: httpx.Client, folder: str
    ) -> None:
        for name in ("a", "b"):
            client.put(f"{presigning.native}/{folder}/{name}", content=name.encode())
        url = presigned(presigning, client, f"{folder}/a")
        assert client.put(url, content=b"other").status_code == 403
        assert client.delete(url).status_code == 403
        assert client.get(url.replace(f"{folder}/a?", f"{folder}/b?")).status_code == 403
        assert client.get(url).content == b"a"

    @pytest.mark.parametrize(
        "name", ["a.txt", "a b.csv", "日本.html", 'q"\\ü.json', "semi;colon,'.svg", "x", "%41.py"]
    )
    def test_comes_from_the_store_with_the_name_and_type_that_the_server_would_send(
        self, presigning: Server, client: httpx.Client, folder: str, name: str
    ) -> None:
        path = f"{folder}/{quote(name, safe='')}"
        url = f"{presigning.native}/{path}"
        client.put(url, content=b"content").raise_for_status()
        direct, through = client.get(presigned(presigning, client, path)), client.get(url)
        assert direct.content == through.content == b"content"
        for header in ("content-disposition", "content-type"):
            assert direct.headers[header] == through.headers[header]
        assert direct.headers["content-disposition"].startswith("attachment; filename")

    def test_has_the_type_of_its_name_whatever_others_have_stored_with_it(
        self, presigning: Server, client: httpx.Client, place: Place, folder: str
    ) -> None:
        place.client.put_object(
            Bucket=place.bucket,
            Key=f"root/{folder}/page.md",
            Body=b"<script>",
            ContentType="text/html",
            ContentDisposition="inline",
        )
        direct = client.get(presigned(presigning, client, f"{folder}/page.md"))
        assert direct.headers["content-type"] == "text/plain"
        assert direct.headers["content-disposition"] == "attachment; filename=page.md"

    def test_of_nothing_has_the_size_0(self, presigning: Server, client: httpx.Client, folder: str) -> None:
        client.put(f"{presigning.native}/{folder}/empty", content=b"")
        given = client.get(f"{presigning.mlflow}/presigned/{folder}/empty").json()
        assert given["file_size"] == 0
        assert client.get(given["url"]).content == b""

    def test_urls_hold_for_as_long_as_the_operator_says(
        self, presigning: Server, redirecting: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{presigning.native}/{folder}/a", content=b"a")
        lifetimes = [
            query(presigned(server, client, f"{folder}/a"))["X-Amz-Expires"]
            for server in (presigning, redirecting)
        ]
        assert lifetimes == ["300", "77"]

    def test_of_what_is_missing_or_a_directory_or_no_path_is_refused(
        self, presigning: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{presigning.native}/{folder}/d/a", content=b"a")
        base = f"{presigning.mlflow}/presigned"
        assert told(client.get(f"{base}/{folder}/nope")) == MISSING
        for path in (f"{folder}/d", f"{folder}/d/", f"{folder}/d/a/", "", "%2e%2e/x", f"{folder}//d/a"):
            assert told(client.get(f"{base}/{path}")) == BAD, path
