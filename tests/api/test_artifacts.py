"""What only the native surface has: its answers to uploads, and listings with pages."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.raw import exchange, head
from tests.support.server import Server


@pytest.fixture
def base(server: Server, folder: str) -> str:
    return f"{server.native}/{folder}"


def test_an_upload_tells_path_size_etag_and_location(
    base: str, client: httpx.Client, server: Server, folder: str
) -> None:
    created = client.put(f"{base}/a%20b.txt", content=b"12345")
    assert created.status_code == 201
    etag = created.headers["etag"]
    assert created.json() == {"path": f"{folder}/a b.txt", "size": 5, "etag": etag}
    assert created.headers["location"] == f"/v1/artifacts/{folder}/a%20b.txt"
    assert client.get(f"{server.url}{created.headers['location']}").headers["etag"] == etag
    replaced = client.put(f"{base}/a%20b.txt", content=b"1")
    assert replaced.status_code == 200
    assert replaced.headers["etag"] != etag


def test_a_deletion_is_204_without_a_body(base: str, client: httpx.Client) -> None:
    client.put(f"{base}/a", content=b"x")
    answer = client.delete(f"{base}/a")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("path", ["", "/"])
def test_the_root_is_never_deleted(server: Server, client: httpx.Client, path: str) -> None:
    client.put(f"{server.native}/keep/me", content=b"x")
    assert client.delete(server.native + path).status_code in {400, 404, 405}
    assert client.get(f"{server.native}/keep/me").status_code == 200


class TestListing:
    def test_gives_all_that_is_known_of_an_entry(self, base: str, client: httpx.Client, folder: str) -> None:
        etag = client.put(f"{base}/a.txt", content=b"12345").headers["etag"]
        client.put(f"{base}/d/x", content=b"")
        listing = client.get(f"{base}/").json()
        file, directory = listing["entries"]
        assert listing["path"] == folder
        assert listing["next_page_token"] is None
        assert datetime.fromisoformat(file.pop("modified")).utcoffset() is not None
        path = f"{folder}/a.txt"
        assert file == {"name": "a.txt", "path": path, "is_dir": False, "size": 5, "etag": etag}
        assert directory == {
            "name": "d",
            "path": f"{folder}/d",
            "is_dir": True,
            "size": None,
            "modified": None,
            "etag": None,
        }

    def test_of_the_root_shows_artifacts_and_hides_the_servers_own(
        self, base: str, server: Server, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{base}/a", content=b"x")
        names = [
            entry["name"] for entry in client.get(f"{server.native}/?max_results=10000").json()["entries"]
        ]
        assert folder in names
        assert not [name for name in names if name.startswith(".artifact-proxy")]

    def test_of_nothing_is_empty(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/file", content=b"x")
        for path in ("missing/", "file/", "file/below/"):
            assert client.get(f"{base}/{path}").json()["entries"] == []

    def test_recursive_gives_every_artifact_below(self, base: str, client: httpx.Client, folder: str) -> None:
        for name in ("b", "a/c", "a/b/d"):
            client.put(f"{base}/{name}", content=b"x")
        entries = client.get(f"{base}/?recursive=true").json()["entries"]
        assert [entry["path"] for entry in entries] == [f"{folder}/a/b/d", f"{folder}/a/c", f"{folder}/b"]

    @pytest.mark.parametrize("recursive", ["true", "false"])
    def test_in_pages_is_the_whole_listing(self, base: str, client: httpx.Client, recursive: str) -> None:
        for number in range(7):
            client.put(f"{base}/d{number % 3}/{number}", content=b"x")
            client.put(f"{base}/é{number}", content=b"x")
        query = {"recursive": recursive}
        whole = client.get(f"{base}/", params=query).json()["entries"]
        assert len(whole) == (14 if recursive == "true" else 10)
        paged, token = [], None
        while True:
            page = client.get(
                f"{base}/", params=query | {"max_results": "3"} | ({"page_token": token} if token else {})
            ).json()
            paged += page["entries"]
            token = page["next_page_token"]
            if token is None:
                break
            assert len(page["entries"]) == 3
        assert paged == whole

    @pytest.mark.parametrize(
        "query",
        [
            "max_results=0",
            "max_results=-1",
            "max_results=1.5",
            "max_results=x",
            "max_results=10001",
            "max_results=00001000000",
            "max_results=" + "9" * 5000,
            "max_results=%D9%A1",
            "max_results=1&max_results=2",
            "recursive=maybe",
            "page_token=%00",
            "page_token=garbage!",
            "page_token=Li4vLi4=",
            "page_token=" + "A" * 7_000,
            "page_token=a&page_token=b",
        ],
    )
    def test_with_a_bad_parameter_is_400(self, base: str, client: httpx.Client, query: str) -> None:
        answer = client.get(f"{base}/?{query}")
        assert answer.status_code == 400
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"

    def test_takes_the_largest_page_and_ignores_unknown_parameters(
        self, base: str, client: httpx.Client
    ) -> None:
        client.put(f"{base}/a", content=b"x")
        assert client.get(f"{base}/?max_results=10000&unknown=ignored").status_code == 200

    @pytest.mark.parametrize("name", ["C:", "s3:", "file:x", "a%20b", "é"])
    def test_goes_on_behind_every_legal_name(self, base: str, client: httpx.Client, name: str) -> None:
        for put in (name, "~last"):
            assert client.put(f"{base}/{quote(put)}", content=b"x").is_success
        first = client.get(f"{base}/?max_results=1").json()
        second = client.get(f"{base}/", params={"page_token": first["next_page_token"]}).json()
        assert {e["name"] for e in first["entries"] + second["entries"]} == {name, "~last"}

    @pytest.mark.parametrize("path", ["/d//", "//", "/d%2F/", "/./", "/%2e%2e/"])
    def test_of_a_path_with_an_empty_or_a_dot_segment_is_400(
        self, base: str, client: httpx.Client, path: str
    ) -> None:
        client.put(f"{base}/d/a", content=b"x")
        assert exchange(base, head("GET", urlsplit(base).path + path, "Connection: close")).status == 400

    def test_answers_head(self, base: str, client: httpx.Client) -> None:
        assert client.head(f"{base}/").status_code == 200
