"""--accel-redirect: a download that came through nginx is answered with the file's place, for it to send."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.support.answers import BAD, MISSING, told
from tests.support.hostile_paths import REFUSED, SURFACES
from tests.support.raw import exchange, head
from tests.support.server import Server, running

PROXIED = {"X-Forwarded-For": "203.0.113.9"}
DATA = bytes(range(256)) * 20


@pytest.fixture(scope="module")
def accelerating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("accelerating") / "root", "--accel-redirect", "/_files/") as started:
        yield started


@pytest.fixture(params=["native", "mlflow"])
def base(request: pytest.FixtureRequest, accelerating: Server) -> str:
    """Where artifacts are, on each surface in turn."""
    return accelerating.native if request.param == "native" else f"{accelerating.mlflow}/artifacts"


@pytest.fixture
def url(base: str, accelerating: Server, folder: str) -> str:
    """The URL of an artifact with DATA."""
    file = accelerating.root / folder / "d" / "model.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(DATA)
    return f"{base}/{folder}/d/model.bin"


Get = Callable[..., httpx.Response]


@pytest.fixture
def get(client: httpx.Client) -> Get:
    """Asks as nginx does for somebody else, with further headers."""

    def asked(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return client.get(url, headers=PROXIED | dict(headers or {}))

    return asked


def is_sent_by_nginx(answer: httpx.Response) -> bool:
    """With nothing but headers; else all of it comes from here."""
    if "x-accel-redirect" not in answer.headers:
        return False
    assert (answer.status_code, answer.content) == (200, b"")
    return True


class TestWhoIsAnsweredSo:
    def test_a_trusted_proxy_gets_the_place_alone(self, get: Get, url: str, folder: str) -> None:
        answer = get(url)
        assert is_sent_by_nginx(answer)
        assert answer.headers["x-accel-redirect"] == f"/_files/{folder}/d/model.bin"

    def test_whoever_asks_directly_gets_the_bytes(self, client: httpx.Client, url: str) -> None:
        for headers in ({}, {"X-Forwarded-Proto": "https"}, {"Forwarded": "for=203.0.113.9"}):
            answer = client.get(url, headers=headers)
            assert not is_sent_by_nginx(answer)
            assert answer.content == DATA

    def test_whoever_is_not_trusted_gets_the_bytes_whatever_he_says(
        self, stranger: httpx.Client, url: str
    ) -> None:
        answer = stranger.get(url, headers=PROXIED)
        assert not is_sent_by_nginx(answer)
        assert answer.content == DATA

    def test_a_proxy_of_a_server_without_the_setting_gets_the_bytes(
        self, server: Server, get: Get, client: httpx.Client, folder: str
    ) -> None:
        client.put(f"{server.native}/{folder}", content=DATA)
        answer = get(f"{server.native}/{folder}")
        assert not is_sent_by_nginx(answer)
        assert answer.content == DATA

    def test_a_server_that_only_reads_does_it_too(
        self, serve: Callable[..., Server], get: Get, tmp_path: Path
    ) -> None:
        (tmp_path / "a").write_bytes(DATA)
        reader = serve("--read-only", "--accel-redirect", "/_files", root=tmp_path)
        assert is_sent_by_nginx(get(f"{reader.native}/a"))


class TestHeaders:
    @pytest.mark.parametrize(
        "name",
        [
            *("a b", "a+b", "100%", "%41", "a%2Fb", "a?b=c", "a#b", "a;b", 'a"b', "a&b", "~a", "a:b", "$uri"),
            *("é", "e\u0301", "日本語", "😀", "a\\b", "x" * 255, "_files", "a,b", "[a]{b}", "'a'"),
        ],
    )
    def test_the_place_is_the_path_percent_encoded_once(
        self, get: Get, base: str, accelerating: Server, folder: str, name: str
    ) -> None:
        file = accelerating.root / folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(DATA)
        answer = get(f"{base}/{folder}/{quote(name, safe='')}")
        assert is_sent_by_nginx(answer)
        assert answer.headers["x-accel-redirect"] == f"/_files/{folder}/{quote(name)}"

    def test_what_clients_are_told_of_the_artifact_is_all_there(
        self, get: Get, client: httpx.Client, url: str
    ) -> None:
        answer, direct = get(url), client.get(url)
        nginxs_own = {"content-length", "accept-ranges", "date", "x-request-id"}
        expected = {name: value for name, value in direct.headers.items() if name not in nginxs_own}
        assert answer.headers.pop("x-accel-redirect")
        assert {n: value for n, value in answer.headers.items() if n not in nginxs_own} == expected
        assert {"etag", "last-modified", "content-type", "content-disposition"} < expected.keys()
        assert {"cache-control", "content-security-policy", "x-content-type-options"} < expected.keys()
        assert "accept-ranges" not in answer.headers, "nginx says for itself what it can do"
        assert answer.headers["content-length"] == "0"

    def test_an_empty_artifact_is_sent_by_nginx_too(self, get: Get, accelerating: Server, url: str) -> None:
        for file in accelerating.root.rglob("model.bin"):
            file.write_bytes(b"")
        assert is_sent_by_nginx(get(url))


class TestConditions:
    """nginx knows nothing of our ETags, so what depends on them is answered from here."""

    def test_what_the_client_has_already_is_304(self, get: Get, url: str) -> None:
        told_before = get(url).headers
        for headers in (
            {"If-None-Match": told_before["etag"]},
            {"If-Modified-Since": told_before["last-modified"]},
        ):
            answer = get(url, headers)
            assert (answer.status_code, is_sent_by_nginx(answer)) == (304, False)
            assert answer.headers["etag"] == told_before["etag"]

    def test_what_the_client_does_not_have_are_the_bytes(self, get: Get, url: str) -> None:
        etag = get(url).headers["etag"]
        for headers in (
            {"If-None-Match": '"other"'},
            {"If-Match": etag},
            {"If-Match": "*"},
            {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
            {"If-Unmodified-Since": get(url).headers["last-modified"]},
        ):
            answer = get(url, headers)
            assert (answer.status_code, is_sent_by_nginx(answer)) == (200, False)
            assert answer.content == DATA

    def test_a_version_that_is_not_there_any_more_is_412(self, get: Get, url: str) -> None:
        for headers in ({"If-Match": '"other"'}, {"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}):
            answer = get(url, headers)
            assert (answer.status_code, is_sent_by_nginx(answer)) == (412, False)

    def test_a_range_with_a_condition_is_sent_from_here(self, get: Get, url: str) -> None:
        etag = get(url).headers["etag"]
        answer = get(url, {"If-Match": etag, "Range": "bytes=1-3"})
        assert (answer.status_code, answer.content, is_sent_by_nginx(answer)) == (206, DATA[1:4], False)


OUTSIDE = f"bytes={len(DATA)}-"


class TestRanges:
    @pytest.mark.parametrize(
        "wanted",
        [
            "bytes=0-0",
            "bytes=1-",
            "bytes=-1",
            f"bytes=0-{10**17}",
        ],
    )
    def test_nginx_makes_them_out_of_the_whole(self, get: Get, url: str, wanted: str) -> None:
        answer = get(url, {"Range": wanted})
        assert is_sent_by_nginx(answer)
        assert "content-range" not in answer.headers

    @pytest.mark.parametrize(
        ("wanted", "content"),
        [(f"bytes=2-{10**40}", DATA[2:]), (f"bytes=-{10**40}", DATA), ("bytes =2-4", DATA[2:5])],
    )
    def test_what_nginx_reads_otherwise_is_sent_from_here(
        self, get: Get, url: str, wanted: str, content: bytes
    ) -> None:
        answer = get(url, {"Range": wanted})
        assert (answer.status_code, answer.content, is_sent_by_nginx(answer)) == (206, content, False)

    @pytest.mark.parametrize("wanted", ["bytes=9-1", "lines=1-2", "bytes=0-1,5-6", "x"])
    def test_what_is_ignored_here_and_refused_by_nginx_is_sent_from_here(
        self, get: Get, url: str, wanted: str
    ) -> None:
        answer = get(url, {"Range": wanted})
        assert (answer.status_code, answer.content, is_sent_by_nginx(answer)) == (200, DATA, False)

    @pytest.mark.parametrize("wanted", [OUTSIDE, "bytes=-0", f"bytes={10**40}-"])
    def test_one_that_holds_no_byte_is_refused_from_here(self, get: Get, url: str, wanted: str) -> None:
        answer = get(url, {"Range": wanted})
        assert told(answer) == (416, "INVALID_PARAMETER_VALUE")
        assert answer.headers["content-range"] == f"bytes */{len(DATA)}"
        assert not is_sent_by_nginx(answer)

    def test_one_for_another_version_gives_all_of_this_one_from_here(self, get: Get, url: str) -> None:
        for other in ('"other"', get(url).headers["last-modified"]):
            answer = get(url, {"Range": OUTSIDE, "If-Range": other})
            assert (answer.status_code, answer.content, is_sent_by_nginx(answer)) == (200, DATA, False)

    def test_one_for_this_version_is_sent_from_here(self, get: Get, url: str) -> None:
        etag = get(url).headers["etag"]
        assert get(url, {"Range": OUTSIDE, "If-Range": etag}).status_code == 416
        answer = get(url, {"Range": "bytes=1-2", "If-Range": etag})
        assert (answer.status_code, answer.content, is_sent_by_nginx(answer)) == (206, DATA[1:3], False)


class TestFailures:
    def test_what_is_missing_is_404(self, get: Get, url: str) -> None:
        for missing in (f"{url}x", f"{url}/below", url.replace("/d/", "/e/")):
            answer = get(missing)
            assert told(answer) == MISSING
            assert not is_sent_by_nginx(answer)

    def test_a_directory_is_400(self, get: Get, url: str) -> None:
        directory = url.removesuffix("/model.bin")
        answer = get(directory)
        assert told(answer) == BAD
        assert "is a directory" in answer.json()["message"]
        assert not is_sent_by_nginx(answer)

    def test_a_path_that_no_artifact_may_have_is_400(self, accelerating: Server) -> None:
        for path in REFUSED:
            request = head("GET", f"{SURFACES[0]}{path}", "X-Forwarded-For: 203.0.113.9")
            answer = exchange(accelerating.url, request)
            assert (answer.status, "x-accel-redirect" in answer.headers) == (400, False), path

    def test_a_link_and_what_is_below_one_are_404(
        self, get: Get, accelerating: Server, url: str, folder: str
    ) -> None:
        (accelerating.root / folder / "link").unlink(missing_ok=True)
        (accelerating.root / folder / "link").symlink_to("d")
        (accelerating.root / folder / "file-link").unlink(missing_ok=True)
        (accelerating.root / folder / "file-link").symlink_to("d/model.bin")
        for name in ("link", "link/model.bin", "file-link"):
            answer = get(url.replace("d/model.bin", name))
            assert told(answer) == MISSING
            assert not is_sent_by_nginx(answer)

    def test_a_root_that_is_gone_is_503(self, get: Get, accelerating: Server, url: str) -> None:
        away = accelerating.root.with_name("away")
        accelerating.root.rename(away)
        try:
            answer = get(url)
        finally:
            away.rename(accelerating.root)
        assert told(answer) == (503, "TEMPORARILY_UNAVAILABLE")
        assert not is_sent_by_nginx(answer)
        assert is_sent_by_nginx(get(url))


def test_nothing_but_a_download_is_left_to_nginx(
    client: httpx.Client, accelerating: Server, url: str, folder: str
) -> None:
    directory = url.removesuffix("d/model.bin")
    listing = f"{accelerating.mlflow}/artifacts?path={folder}"
    for method, target in [
        *(("HEAD", url), ("PUT", f"{directory}new"), ("PUT", url), ("POST", url), ("OPTIONS", url)),
        *(
            ("GET", f"{accelerating.native}/{folder}/"),
            ("GET", listing),
            ("GET", f"{accelerating.url}/health"),
        ),
        *(("GET", f"{accelerating.url}/openapi.json"), ("DELETE", url), ("DELETE", directory)),
    ]:
        content = b"new" if method == "PUT" else None
        answer = client.request(method, target, content=content, headers=PROXIED)
        assert answer.status_code < 300 or method == "POST", (method, target)
        assert not is_sent_by_nginx(answer)
        if method == "HEAD":
            assert answer.headers["content-length"] == str(len(DATA))
            assert answer.headers["accept-ranges"] == "bytes"
