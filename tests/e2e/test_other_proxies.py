"""What docs/reverse-proxies.md shows for Caddy and Traefik works, and keeps what the page promises."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from subprocess import run
from urllib.parse import quote, urlsplit

import httpx
import pytest

from tests.support.access_log import complete_log
from tests.support.content import MEGABYTE, megabytes, sha256
from tests.support.hostile_paths import REFUSED
from tests.support.nginx_fixtures import Replicas, running_replicas
from tests.support.other_proxies import PROGRAMS, Front, running_front, upstream
from tests.support.private_authority import PrivateAuthority
from tests.support.raw import exchange, head, read_answer
from tests.support.server import Server, running
from tests.support.waiting import SECONDS, wait_until
from tests.support.wire import Wire

SUB_PATH = "/ml"
NAMES = [
    "a b", "a+b", "100%", "a%20b", "a%2e", "a#b", "a?b=c", "a;b=c,d", "a:b", "a&b", "a\\b", "a'b\"c",
    "<a>|{b}^[c]`", "~a!b$c(d)*@e", "é", "e\u0301", "日本語 😀", "...", "a..b",
]  # fmt: skip


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """They know the sub-path, and answer without it as well."""
    directory = tmp_path_factory.mktemp("other-proxies")
    with running_replicas(directory / "root", directory, "--static-prefix", SUB_PATH) as started:
        yield started


@pytest.fixture(scope="module")
def stripped(replicas: Replicas) -> Iterator[Server]:
    """Over the same root, for a proxy that takes the sub-path off."""
    root = replicas.one.root
    log_file = root.with_name("stripped.log")
    with running(root, "--root-path", SUB_PATH, log_file=log_file) as started:
        yield started


@pytest.fixture(scope="module", params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def front(program: str, replicas: Replicas, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """At / and without TLS."""
    directory = tmp_path_factory.mktemp(program) / "front"
    with running_front(program, directory, replicas.urls) as started:
        yield started


@pytest.fixture(scope="module")
def tls_front(
    program: str, replicas: Replicas, authority: PrivateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """At a sub-path, which it leaves in requests, and with TLS."""
    directory = tmp_path_factory.mktemp(program) / "front"
    with running_front(program, directory, replicas.urls, sub_path=SUB_PATH, authority=authority) as started:
        yield started


@pytest.fixture(scope="module")
def stripping_front(
    program: str, stripped: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """At a sub-path, which it takes off."""
    directory = tmp_path_factory.mktemp(program) / "front"
    with running_front(program, directory, [stripped.url] * 2, sub_path=SUB_PATH, strip=True) as started:
        yield started


@pytest.fixture(params=["front", "tls_front", "stripping_front"])
def any_front(program: str, request: pytest.FixtureRequest) -> Front:
    """Each in turn."""
    started: Front = request.getfixturevalue(request.param)
    return started


@pytest.mark.parametrize(("through", "chunked"), [("front", False), ("front", True), ("tls_front", True)])
def test_a_large_artifact_goes_up_and_down_whole(
    program: str, request: pytest.FixtureRequest, folder: str, through: str, chunked: bool
) -> None:
    front: Front = request.getfixturevalue(through)
    url = f"{front.native}/{folder}/large.bin"
    size = str(64 * MEGABYTE)
    headers = {} if chunked else {"Content-Length": size}
    assert front.client.put(url, content=megabytes(64), headers=headers).status_code == 201
    with front.client.stream("GET", url) as answer:
        assert (answer.status_code, answer.headers["content-length"]) == (200, size)
        assert sha256(answer.iter_raw()) == sha256(megabytes(64))
    front.client.delete(url).raise_for_status()


@pytest.mark.parametrize("chunked", [False, True])
def test_the_server_has_the_first_half_of_an_upload_while_the_client_still_keeps_the_second(
    front: Front, replicas: Replicas, folder: str, chunked: bool
) -> None:
    half = bytes(2 * MEGABYTE)
    staging = replicas.one.staging

    def staged() -> bool:
        return any(path.stat().st_size >= MEGABYTE for path in staging.iterdir())

    assert replicas.one.staged() == []
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {2 * len(half)}"
    with socket.create_connection(_address(front), timeout=SECONDS) as connected:
        wire = Wire(connected)
        wire.send(head("PUT", f"/v1/artifacts/{folder}/slow.bin", how, "Connection: close"))
        wire.send(b"%x\r\n%s\r\n" % (len(half), half) if chunked else half)
        wait_until(staged, "a part of the upload at the server")
        wire.send_body([half], chunked)
        assert read_answer(connected).status == 201
    assert front.client.get(f"{front.native}/{folder}/slow.bin").content == half * 2


def test_requests_go_on_when_a_server_is_gone(
    program: str, replicas: Replicas, folder: str, tmp_path: Path
) -> None:
    with (
        upstream({}) as gone,
        running_front(program, tmp_path / "front", [replicas.one.url, gone.url]) as front,
    ):
        gone.close()
        for number in range(12):
            url = f"{front.native}/{folder}/{number}"
            content = bytes([number]) * MEGABYTE
            assert front.client.put(url, content=iter([content])).status_code == 201
            assert front.client.get(url).content == content


def test_ranges_head_and_conditions_mean_what_they_mean_at_the_server(any_front: Front, folder: str) -> None:
    client, url = any_front.client, f"{any_front.native}/{folder}/a.bin"
    content = secrets.token_bytes(3 * MEGABYTE)
    etag = client.put(url, content=content, headers={"If-None-Match": "*"}).raise_for_status().headers["etag"]

    whole = client.head(url)
    assert (whole.headers["etag"], whole.headers["content-length"]) == (etag, str(len(content)))
    part = client.get(url, headers={"Range": "bytes=1000000-2999999", "If-Range": etag})
    assert (part.status_code, part.content) == (206, content[1_000_000:3_000_000])
    assert part.headers["content-range"] == f"bytes 1000000-2999999/{len(content)}"
    assert client.get(url, headers={"Range": f"bytes={len(content)}-"}).status_code == 416
    assert client.get(url, headers={"If-None-Match": etag}).status_code == 304

    assert client.put(url, content=b"other", headers={"If-None-Match": "*"}).status_code == 412
    assert client.put(url, content=b"other", headers={"If-Match": etag}).status_code == 200
    assert client.put(url, content=b"third", headers={"If-Match": etag}).status_code == 412
    assert client.get(url).content == b"other"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_large_uploads_that_are_refused_are_told_so_and_leave_the_servers_in_use(
    front: Front, folder: str, need: Callable[[str], str], tmp_path: Path
) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(16 * MEGABYTE))
    url = f"{front.native}/{folder}/kept"
    front.client.put(url, content=b"kept").raise_for_status()
    command = [need("curl"), "-s", "-o", "answer", "-w", "%{http_code}", "-T", "large.bin", url]
    for more in ([], ["-H", "Expect:"]):
        for _ in range(5):
            refused = [*command, *more, "-H", "If-None-Match: *"]
            assert run(refused, cwd=tmp_path, capture_output=True, check=True).stdout == b"412"
    assert front.client.get(url).content == b"kept"


def test_names_that_need_encoding_are_stored_and_read_back_exactly(
    any_front: Front, replicas: Replicas, folder: str
) -> None:
    root = urlsplit(any_front.url).path
    for name in NAMES:
        path = f"{folder}/{quote(f'{name}/{name}')}"
        stored = any_front.client.put(f"{any_front.native}/{path}", content=name.encode())
        assert stored.status_code == 201, name
        assert stored.json()["path"] == f"{folder}/{name}/{name}"
        assert stored.headers["location"] == f"{root}/v1/artifacts/{path}"
        assert (replicas.one.root / folder / name / name).read_bytes() == name.encode()
        assert any_front.client.get(f"{any_front.native}/{path}").content == name.encode()
        listed = any_front.client.get(
            f"{any_front.url}/api/2.0/mlflow-artifacts/artifacts", params={"path": f"{folder}/{name}"}
        ).json()
        assert [each["path"] for each in listed["files"]] == [name]


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_paths_that_no_artifact_may_have_are_400_and_reach_nothing(
    front: Front, stripping_front: Front, replicas: Replicas, method: str
) -> None:
    before = replicas.one.tree(), sorted(replicas.one.root.parent.iterdir())
    for through in (front, stripping_front):
        surface = urlsplit(through.native).path + "/"
        for path in REFUSED:
            body = b"evil" if method == "PUT" else b""
            request = head(method, surface + path, f"Content-Length: {len(body)}", "Connection: close")
            assert exchange(through.url, request + body).status == 400, path
    assert (replicas.one.tree(), sorted(replicas.one.root.parent.iterdir())) == before


def test_the_sub_path_is_no_way_out_of_itself(stripping_front: Front, replicas: Replicas) -> None:
    for outside in ("/ml/..", "/ml/%2e%2e", "", "/mlx"):
        target = f"{outside}/v1/artifacts/x"
        request = head("PUT", target, "Content-Length: 1", "Connection: close") + b"x"
        assert exchange(stripping_front.url, request).status in {400, 404}, target
    assert not (replicas.one.root / "x").exists()


def test_slashes_are_not_joined(front: Front, folder: str) -> None:
    front.client.put(f"{front.native}/{folder}/a", content=b"a").raise_for_status()
    for target in (f"/v1/artifacts/{folder}//a", f"//v1/artifacts/{folder}/a", f"/v1//artifacts/{folder}/a"):
        assert exchange(front.url, head("GET", target, "Connection: close")).status in {400, 404}


def test_a_hash_that_is_not_encoded_is_taken_as_the_page_says(
    program: str, front: Front, replicas: Replicas, folder: str
) -> None:
    request = head("PUT", f"/v1/artifacts/{folder}/a#b", "Content-Length: 1", "Connection: close") + b"x"
    status = exchange(front.url, request).status
    stored = (replicas.one.root / folder / "a#b").exists()
    assert (status, stored) == ((201, True) if program == "caddy" else (400, False))


def test_a_semicolon_in_a_query_is_taken_as_the_page_says(program: str, front: Front, folder: str) -> None:
    front.client.put(f"{front.native}/{folder};b/inside", content=b"x").raise_for_status()
    front.client.put(f"{front.native}/{folder}/cut", content=b"x").raise_for_status()
    routes = f"{front.url}/api/2.0/mlflow-artifacts/artifacts"

    def listed(query: str) -> list[str]:
        return [each["path"] for each in front.client.get(f"{routes}?path={query}").json()["files"]]

    assert listed(f"{folder}%3Bb") == ["inside"]
    assert listed(f"{folder};b") == (["inside"] if program == "caddy" else ["cut"])


def test_urls_are_right_wherever_the_servers_are_shown(any_front: Front, folder: str) -> None:
    root = urlsplit(any_front.url).path
    stored = any_front.client.put(f"{any_front.native}/{folder}/a", content=b"a").raise_for_status()
    assert stored.headers["location"] == f"{root}/v1/artifacts/{folder}/a"
    followed = httpx.URL(any_front.url).join(stored.headers["location"])
    assert any_front.client.get(followed).content == b"a"

    document = any_front.client.get(f"{any_front.url}/openapi.json").raise_for_status().json()
    assert [each["url"] for each in document.get("servers", [])] == ([root] if root else [])
    page = any_front.client.get(f"{any_front.url}/docs").raise_for_status().text
    assert f"'{root}/openapi.json'" in page
    assert any_front.client.get(f"{any_front.url}/docs/static/swagger-ui.css").status_code == 200


def test_what_a_client_says_of_its_own_address_is_not_believed(
    front: Front, replicas: Replicas, folder: str
) -> None:
    lies = {"X-Forwarded-For": "192.0.2.66", "X-Real-IP": "192.0.2.66", "Forwarded": "for=192.0.2.66"}
    with closing(HTTPConnection(*_address(front), source_address=("127.0.0.2", 0))) as connection:
        connection.request("GET", f"/v1/artifacts/{folder}/", headers=lies)
        assert connection.getresponse().status == 200
    log = "".join(complete_log(server) for server in replicas)
    (line,) = [line for line in log.splitlines() if f"/v1/artifacts/{folder}/" in line]
    assert "127.0.0.2" in line
    assert "192.0.2.66" not in line


def _address(front: Front) -> tuple[str, int]:
    parts = urlsplit(front.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port
