"""Artifacts for a frame of the page: shown, and harmless all the same."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.guarded import told
from tests.support.server import Server, running

BAD = (400, "INVALID_PARAMETER_VALUE")
FRAME = {"view": "frame"}
POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
PAGE = b"<script>alert(1)</script><h1>Report</h1>"


@pytest.fixture(scope="module")
def accelerated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose files a reverse proxy sends."""
    with running(tmp_path_factory.mktemp("frame") / "root", "--accel-redirect", "/_files") as server:
        yield server


@pytest.fixture(scope="module")
def page(accelerated: Server, client: httpx.Client) -> str:
    url = f"{accelerated.native}/report.html"
    assert client.put(url, content=PAGE).status_code == 201
    return url


def test_it_is_shown_with_nothing_in_it_running(client: httpx.Client, page: str) -> None:
    for answer in (client.get(page, params=FRAME), client.head(page, params=FRAME)):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers.get_list("content-disposition") == ["inline"]
        assert answer.headers.get_list("content-security-policy") == [POLICY]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content == (PAGE if answer.request.method == "GET" else b"")


def test_all_else_is_as_in_a_download(client: httpx.Client, page: str) -> None:
    differing = {"date", "x-request-id", "content-disposition", "content-security-policy"}
    for headers in ({}, {"Range": "bytes=0-7"}, {"Range": "bytes=999-"}, {"If-Match": '"other"'}):
        plain, framed = client.get(page, headers=headers), client.get(page, params=FRAME, headers=headers)
        assert framed.status_code == plain.status_code
        assert plain.is_error or framed.content == plain.content
        for name in plain.headers.keys() - differing:
            assert framed.headers[name] == plain.headers[name]


def test_what_a_browser_kept_stays_as_harmless(client: httpx.Client, page: str) -> None:
    """Firefox takes the policy of a 304 for that of what it kept."""
    etag = client.get(page).headers["etag"]
    for method in ("GET", "HEAD"):
        again = client.request(method, page, params=FRAME, headers={"If-None-Match": etag})
        assert (again.status_code, again.headers["content-security-policy"]) == (304, POLICY)


def test_it_comes_from_the_server_itself(client: httpx.Client, page: str) -> None:
    proxied = {"X-Forwarded-For": "192.0.2.1"}
    assert client.get(page, headers=proxied).headers["x-accel-redirect"] == "/_files/report.html"
    framed = client.get(page, params=FRAME, headers=proxied)
    assert "x-accel-redirect" not in framed.headers
    assert framed.content == PAGE


def test_nor_does_a_store_send_it(
    redirecting: Server, plain: Server, client: httpx.Client, folder: str
) -> None:
    content = PAGE + bytes(10_000_000)
    url = f"{redirecting.native}/{folder}/report.html"
    assert client.put(f"{plain.native}/{folder}/report.html", content=content).is_success
    assert client.get(url).status_code == 307
    framed = client.get(url, params=FRAME)
    assert (framed.status_code, framed.headers["content-security-policy"]) == (200, POLICY)
    assert framed.content == content


def test_it_is_no_page_of_its_own(client: httpx.Client, page: str) -> None:
    """What looks like a page of this server could ask its user for anything."""
    for method in ("GET", "HEAD"):
        answer = client.request(method, page, params=FRAME, headers={"Sec-Fetch-Dest": "document"})
        assert answer.status_code == 400
        assert "content-disposition" not in answer.headers
    assert told(client.get(page, params=FRAME, headers={"Sec-Fetch-Dest": "document"})) == BAD
    assert client.get(page, headers={"Sec-Fetch-Dest": "document"}).is_success


SHOWN = ("audio", "document", "empty", "iframe", "image", "video")
RUN = (
    *("script", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet", "style", "xslt"),
    *("embed", "object", "font", "manifest", "json", "webidentity", "speculationrules", "Script", "new", ""),
)


def test_browsers_are_given_it_to_be_shown_and_never_to_be_run(
    redirecting: Server, plain: Server, client: httpx.Client, folder: str
) -> None:
    """For a page of this server its own artifacts would pass for scripts of its own, also a large one."""
    for name, size in {"small.mjs": 10, "large.mjs": 10_000_000}.items():
        assert client.put(f"{plain.native}/{folder}/{name}", content=bytes(size)).is_success
    ajax = redirecting.mlflow.replace("/api/", "/ajax-api/")
    targets = [f"{redirecting.native}/{folder}/"]
    targets += [f"{redirecting.native}/{folder}/{rest}" for rest in ("?archive=tar", "small.mjs?view=frame")]
    for name in ("small.mjs", "large.mjs"):
        targets += [f"{redirecting.native}/{folder}/{name}"]
        targets += [f"{base}/artifacts/{folder}/{name}" for base in (redirecting.mlflow, ajax)]
        targets += [f"{redirecting.mlflow}/presigned/{folder}/{name}"]
    targets += [f"{redirecting.mlflow}/artifacts?path={folder}"]
    for target in targets:
        for destination in RUN:
            refused = client.get(target, headers={"Sec-Fetch-Dest": destination})
            assert told(refused) == (403, "PERMISSION_DENIED"), (target, destination)
        assert "artifacts are data" in refused.json()["message"]
        assert client.head(target, headers={"Sec-Fetch-Dest": "script"}).status_code in {403, 405}
        shown = SHOWN if "view=frame" not in target else ("iframe", "image")
        for destination in shown:
            answer = client.get(target, headers={"Sec-Fetch-Dest": destination})
            assert answer.status_code in {200, 307}, (target, destination)


@pytest.mark.parametrize("query", ["view=", "view=page", "view=Frame", "view=frame&view=frame", "view=%ff"])
def test_other_views_are_refused(client: httpx.Client, page: str, query: str) -> None:
    assert told(client.get(f"{page}?{query}")) == BAD
    assert client.head(f"{page}?{query}").status_code == 400


def test_other_parameters_are_ignored_as_before(client: httpx.Client, page: str) -> None:
    answer = client.get(f"{page}?x=1&views=frame")
    assert answer.headers["content-disposition"] == "attachment; filename=report.html"


def test_there_is_no_such_view_on_the_surface_of_mlflow(
    accelerated: Server, client: httpx.Client, page: str
) -> None:
    answer = client.get(f"{accelerated.mlflow}/artifacts/report.html", params=FRAME)
    assert answer.headers["content-disposition"] == "attachment; filename=report.html"
