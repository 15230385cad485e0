"""With --accel-redirect nginx sends the files of a local root itself, and clients notice nothing of it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.answers import told
from tests.support.nginx import Nginx, running_nginx
from tests.support.nginx_fixtures import Replicas, running_replicas
from tests.support.raw import exchange, head
from tests.support.reads import CONTENT, READS, current, seen
from tests.support.server import Server, running

MEGABYTE = 1024 * 1024
PROXIED = {"X-Forwarded-For": "203.0.113.5"}
"""As nginx says it of its clients."""

Serve = Callable[..., Server]
Start = Callable[..., Nginx]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over the same root which sends all itself."""
    with running(tmp_path_factory.mktemp("accelerated") / "root") as server:
        (server.root / "d").mkdir()
        (server.root / "d" / "a.txt").write_bytes(CONTENT)
        yield server


@pytest.fixture(scope="module")
def accelerated(plain: Server) -> Iterator[Replicas]:
    with running_replicas(plain.root, plain.root.parent, "--accel-redirect", "/_files") as replicas:
        yield replicas


@pytest.fixture(scope="module")
def sending(nginx_installed: None, plain: Server, accelerated: Replicas) -> Iterator[Nginx]:
    directory = plain.root.parent / "nginx"
    with running_nginx(directory, accelerated.urls, ARTIFACT_ROOT=str(plain.root)) as nginx:
        yield nginx


@pytest.mark.parametrize("size", [0, 1, 65_536, 3 * MEGABYTE + 17, 100 * MEGABYTE])
def test_a_file_is_the_same_to_the_byte_and_has_the_same_headers(
    client: httpx.Client, plain: Server, sending: Nginx, size: int
) -> None:
    content = secrets.token_bytes(size)
    client.put(f"{sending.native}/sizes/{size}.csv", content=content).raise_for_status()
    direct = client.get(f"{plain.native}/sizes/{size}.csv")
    proxied = client.get(f"{sending.native}/sizes/{size}.csv")
    assert proxied.content == content
    assert seen(proxied) == seen(direct)
    assert proxied.headers["server"] == "nginx"
    assert "x-accel-redirect" not in proxied.headers
    assert {"etag", "last-modified", "cache-control", "content-security-policy"} <= proxied.headers.keys()


def test_it_is_nginx_that_sends_them(
    client: httpx.Client, accelerated: Replicas, start_nginx: Start, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.txt").write_bytes(b"from nginx")
    nginx = start_nginx(*accelerated.urls, ARTIFACT_ROOT=str(tmp_path))
    assert client.get(f"{nginx.native}/d/a.txt").content == b"from nginx"
    assert client.get(f"{nginx.mlflow}/artifacts/d/a.txt").content == b"from nginx"
    asked = client.get(f"{accelerated.one.native}/d/a.txt", headers=PROXIED)
    assert (asked.headers["x-accel-redirect"], asked.content) == ("/_files/d/a.txt", b"")


@pytest.mark.parametrize(("headers", "status"), READS, ids=[str(headers) for headers, _ in READS])
def test_a_download_is_answered_as_it_is_directly(
    client: httpx.Client, plain: Server, sending: Nginx, headers: dict[str, str], status: int
) -> None:
    url = f"{plain.native}/d/a.txt"
    headers = current(headers, client.head(url).headers["etag"])
    direct = client.get(url, headers=headers)
    assert direct.status_code == status
    proxied = client.get(f"{sending.native}/d/a.txt", headers=headers)
    if status == 206:  # nginx says that it has ranges only with whole files
        direct.headers.pop("accept-ranges")
        assert proxied.headers.pop("accept-ranges", "bytes") == "bytes"
    assert seen(proxied) == seen(direct)
    heads = [client.head(f"{native}/d/a.txt", headers=headers) for native in (plain.native, sending.native)]
    assert seen(heads[0]) == seen(heads[1])


@pytest.mark.parametrize(
    "wanted", ["bytes=9-1", "bytes=a-b", "bytes=0-1x", "bytes=999999-,999999-", "bytes="]
)
def test_a_senseless_range_is_ignored_or_refused_in_json(
    client: httpx.Client, sending: Nginx, wanted: str
) -> None:
    answer = client.get(f"{sending.native}/d/a.txt", headers={"Range": wanted})
    if answer.status_code == 200:
        assert answer.content == CONTENT
    else:
        assert told(answer) == (416, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(("path", "status"), [("d/missing", 404), ("d", 400), ("", 200), ("d/", 200)])
def test_what_is_no_file_is_answered_as_it_is_directly(
    client: httpx.Client, plain: Server, sending: Nginx, path: str, status: int
) -> None:
    direct = client.get(f"{plain.native}/{path}")
    assert direct.status_code == status
    assert seen(client.get(f"{sending.native}/{path}")) == seen(direct)


def test_names_that_need_encoding_are_read_back_exactly(client: httpx.Client, sending: Nginx) -> None:
    names = ("a b", "100%", "a%20b", "a%2e", "a#b", "a?b=c", "a;b+c&d", "é 日本", "...", "..a", "a'\"<>|^`")
    for name in names:
        path = f"names/{quote(f'{name}/{name}', safe='/')}"
        client.put(f"{sending.native}/{path}", content=name.encode()).raise_for_status()
        assert client.get(f"{sending.native}/{path}").raise_for_status().content == name.encode()


def test_a_replaced_file_is_sent_as_it_is_now(client: httpx.Client, sending: Nginx) -> None:
    etags = set()
    for content in (b"first", b"second, longer", b"third"):
        client.put(f"{sending.native}/replaced", content=content).raise_for_status()
        got = client.get(f"{sending.native}/replaced")
        assert got.content == content
        etags.add(got.headers["etag"])
    assert len(etags) == 3


def test_a_root_behind_a_link_is_sent_from(
    client: httpx.Client, plain: Server, accelerated: Replicas, start_nginx: Start, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(plain.root.parent)
    nginx = start_nginx(*accelerated.urls, ARTIFACT_ROOT=str(tmp_path / "link" / "root"))
    assert client.get(f"{nginx.native}/d/a.txt").raise_for_status().content == CONTENT


class TestWhatNobodyMayHave:
    @pytest.mark.parametrize(
        "target",
        [
            *("/_files/d/a.txt", "/_files/../_files/d/a.txt", "/x/../_files/d/a.txt", "//_files/d/a.txt"),
            *("/_files//d/a.txt", "/%5Ffiles/d/a.txt", "/_files%2fd/a.txt", "/./_files/d/a.txt"),
            *("/_files/", "/_files", "/_files/.artifact-proxy/", "/_files/../", "/v1/../_files/d/a.txt"),
            *("/_files/d/a.txt?x", "/_files/d/a.txt#x", "/v1/artifacts/%2e%2e/%2e%2e/_files/d/a.txt"),
        ],
    )  # fmt: skip
    def test_is_not_had_by_the_location_of_the_files(self, sending: Nginx, target: str) -> None:
        extra = ("X-Accel-Redirect: /_files/d/a.txt", "Content-Length: 0")
        for method in ("GET", "POST"):
            answer = exchange(sending.url, head(method, target, *extra))
            assert answer.status in {400, 404}
            assert CONTENT[:100] not in answer.body
            assert json.loads(answer.body).keys() >= {"error_code", "message"}

    def test_is_not_had_by_a_header_of_the_request(self, client: httpx.Client, sending: Nginx) -> None:
        answer = client.get(f"{sending.url}/health", headers={"X-Accel-Redirect": "/_files/d/a.txt"})
        assert answer.text == "OK"

    def test_are_what_links_lead_to(
        self, client: httpx.Client, plain: Server, sending: Nginx, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text("secret")
        (plain.root / "links").mkdir()
        (plain.root / "links" / "file").symlink_to(tmp_path / "secret")
        (plain.root / "links" / "directory").symlink_to(tmp_path)
        for path in ("file", "directory/secret"):
            answer = client.get(f"{sending.native}/links/{path}")
            assert told(answer) == (404, "RESOURCE_DOES_NOT_EXIST")

    def test_are_what_links_lead_to_that_only_nginx_sees(
        self, client: httpx.Client, plain: Server, accelerated: Replicas, start_nginx: Start, tmp_path: Path
    ) -> None:
        (tmp_path / "file" / "d").mkdir(parents=True)
        (tmp_path / "file" / "d" / "a.txt").symlink_to(plain.root / "d" / "a.txt")
        (tmp_path / "directory").mkdir()
        (tmp_path / "directory" / "d").symlink_to(plain.root / "d")
        for other, refusal in (
            ("file", (403, "PERMISSION_DENIED")),
            ("directory", (404, "RESOURCE_DOES_NOT_EXIST")),
        ):
            nginx = start_nginx(*accelerated.urls, ARTIFACT_ROOT=str(tmp_path / other))
            answer = client.get(f"{nginx.native}/d/a.txt")
            assert answer.headers["content-type"] == "application/json"
            assert told(answer) == refusal

    def test_is_what_the_server_keeps_for_itself(
        self, client: httpx.Client, plain: Server, sending: Nginx
    ) -> None:
        (plain.root / ".artifact-proxy").mkdir(exist_ok=True)
        (plain.root / ".artifact-proxy" / "own").write_text("own")
        answer = client.get(f"{sending.native}/.artifact-proxy/own")
        assert told(answer) == (400, "INVALID_PARAMETER_VALUE")


class TestWhoDoesNotComeThroughATrustedProxy:
    def test_gets_the_bytes_themselves(self, client: httpx.Client, accelerated: Replicas) -> None:
        got = client.get(f"{accelerated.one.native}/d/a.txt")
        assert got.content == CONTENT
        assert "x-accel-redirect" not in got.headers

    def test_gets_them_also_when_it_pretends(self, accelerated: Replicas) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as elsewhere:
            got = elsewhere.get(f"{accelerated.one.native}/d/a.txt", headers=PROXIED)
        assert got.content == CONTENT
        assert "x-accel-redirect" not in got.headers

    def test_gets_them_through_a_proxy_that_is_not_trusted(
        self, client: httpx.Client, plain: Server, serve: Serve, start_nginx: Start
    ) -> None:
        flags = ("--accel-redirect", "/_files", "--forwarded-allow-ips", "203.0.113.1")
        nginx = start_nginx(serve(*flags, root=plain.root).url, ARTIFACT_ROOT="/nonexistent")
        assert client.get(f"{nginx.native}/d/a.txt").content == CONTENT


def test_a_file_that_nginx_does_not_have_is_missed_in_json(
    client: httpx.Client, accelerated: Replicas, start_nginx: Start
) -> None:
    nginx = start_nginx(*accelerated.urls, ARTIFACT_ROOT="/nonexistent")
    answer = client.get(f"{nginx.native}/d/a.txt")
    assert answer.headers["content-type"] == "application/json"
    assert told(answer) == (404, "RESOURCE_DOES_NOT_EXIST")
