"""The metrics of a server that is used: right in number, and silent about who and what."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app import __version__, config, metrics
from app.api.measurements import measure
from app.api.visit import Visit
from app.errors import ArtifactNotFound
from app.main import create_app, open_storage
from tests.support.access import bearer, token_stanza
from tests.support.guarded import guarded
from tests.support.raw import connection, head
from tests.support.scraping import Scrape, defined, here, scrape
from tests.support.server import Server
from tests.support.waiting import wait_until

ARTIFACT = "/v1/artifacts/{path:path}"
REQUESTS = "artifact_proxy_http_requests_total"
ABORTED = "artifact_proxy_transfers_aborted_total"
CALLS = "artifact_proxy_storage_call_duration_seconds_count"
LARGE = 64_000_000


class Known(NamedTuple):
    """A server with an access file, and somebody whom it knows."""

    server: Server
    token: str
    client: httpx.Client

    def scrape(self) -> Scrape:
        return scrape(self.server, self.client)

    def send(self, method: str, path: str, content: bytes = b"") -> int:
        return self.client.request(method, f"{self.server.native}/{path}", content=content).status_code


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    token, stanza = token_stanza("mallory", "all:")
    with (
        guarded(tmp_path_factory.mktemp("metrics"), stanza) as server,
        httpx.Client(timeout=60, headers=bearer(token)) as client,
    ):
        (server.root / "large").write_bytes(bytes(LARGE))
        yield Known(server, token, client)


Moved = Callable[..., float]


@pytest.fixture
def moved(known: Known) -> Moved:
    """Gives by how much a metric has moved since the test began."""
    before = known.scrape()

    def difference(name: str, **labels: str) -> float:
        return known.scrape().value(name, **labels) - before.value(name, **labels)

    return difference


def test_requests_are_counted_by_route_method_and_status(known: Known, moved: Moved, folder: str) -> None:
    sent = [
        ("PUT", f"{folder}/a", 201),
        ("PUT", f"{folder}/a", 200),
        ("GET", f"{folder}/a", 200),
        ("GET", f"{folder}/b", 404),
        ("HEAD", f"{folder}/a", 200),
        ("DELETE", f"{folder}/a", 204),
        ("PROPFIND", f"{folder}/a", 405),
    ]
    for method, path, status in sent:
        assert known.send(method, path) == status
    assert known.client.get(f"{known.server.native}/", headers={"Authorization": "Bearer none"}).is_error
    wait_until(lambda: moved(REQUESTS, route="other", status="401") == 1, "the last of them is counted")
    for method, _, status in sent:
        shown = "other" if method == "PROPFIND" else method
        assert moved(REQUESTS, route=ARTIFACT, method=shown, status=str(status)) == 1
    assert moved(REQUESTS, route=ARTIFACT) == len(sent)


def test_bytes_are_those_of_bodies(known: Known, moved: Moved, folder: str) -> None:
    known.send("PUT", f"{folder}/a", bytes(12_345))
    known.send("HEAD", f"{folder}/a")
    known.send("GET", f"{folder}/a")
    wait_until(lambda: moved(REQUESTS, route=ARTIFACT, method="GET") == 1, "the download is counted")
    assert moved("artifact_proxy_http_received_bytes_total", route=ARTIFACT) == 12_345
    stored = moved("artifact_proxy_http_sent_bytes_total", route=ARTIFACT) - 12_345
    assert 0 <= stored < 1000  # what the upload was answered


def test_a_response_begins_before_it_ends(known: Known, moved: Moved) -> None:
    labels = {"route": ARTIFACT, "method": "GET"}
    first, whole = "time_to_first_byte_seconds", "request_duration_seconds"
    assert known.send("GET", "large") == 200
    wait_until(lambda: moved(REQUESTS, **labels) == 1, "the download is counted")
    for name in (first, whole):
        assert moved(f"artifact_proxy_http_{name}_count", **labels) == 1
    began, ended = (moved(f"artifact_proxy_http_{name}_sum", **labels) for name in (first, whole))
    assert 0 < began < ended < 60


def test_an_upload_that_breaks_off_is_an_aborted_one(known: Known, moved: Moved, folder: str) -> None:
    request = head("PUT", f"/v1/artifacts/{folder}/a", "Content-Length: 1000", authorization(known))
    with connection(known.server.url) as connected:
        connected.sendall(request + bytes(10))
        wait_until(known.server.staged, "the upload has begun")
    wait_until(lambda: moved(ABORTED, kind="upload") == 1, "the upload is counted")
    assert moved(ABORTED) == 1


def test_a_download_that_breaks_off_is_an_aborted_one(known: Known, moved: Moved) -> None:
    with connection(known.server.url) as connected:
        connected.sendall(head("GET", "/v1/artifacts/large", authorization(known)))
        assert connected.recv(1000).startswith(b"HTTP/1.1 200")
    wait_until(lambda: moved(ABORTED, kind="download") == 1, "the download is counted")
    assert moved(ABORTED) == moved(REQUESTS, route=ARTIFACT, method="GET", status="200") == 1
    assert moved("artifact_proxy_http_sent_bytes_total", route=ARTIFACT) < LARGE


def test_what_ends_before_an_answer_begins_has_no_status() -> None:
    before = here()
    measure({"method": "PUT"}, Visit("id"))
    after = here()
    labels = {"route": "other", "method": "PUT"}

    def moved(name: str, **labels: str) -> float:
        return after.value(name, **labels) - before.value(name, **labels)

    assert moved(REQUESTS, **labels, status="0") == 1
    assert moved(ABORTED, kind="other") == 1
    assert moved("artifact_proxy_http_request_duration_seconds_count", **labels) == 1
    assert moved("artifact_proxy_http_time_to_first_byte_seconds_count", **labels) == 0


def authorization(known: Known) -> str:
    return f"Authorization: Bearer {known.token}"


def test_storage_calls_are_counted_by_what_came_of_them(known: Known, moved: Moved, folder: str) -> None:
    known.send("PUT", f"{folder}/a", bytes(10))
    known.send("GET", f"{folder}/a")
    known.send("GET", f"{folder}/none")
    known.send("PUT", f"{folder}/a/below", b"x")
    known.client.get(f"{known.server.native}/{folder}/")
    known.send("DELETE", f"{folder}/a")
    for operation in ("commit", "read_chunk", "list", "delete"):
        assert moved(CALLS, operation=operation, outcome="ok") == 1, operation
    assert moved(CALLS, operation="read", outcome="artifact_not_found") == 1
    assert moved(CALLS, outcome="path_conflict") == 1


def test_every_metric_is_there_once_the_server_was_used(known: Known, folder: str) -> None:
    known.send("PUT", f"{folder}/a", b"x")
    without = {"artifact_proxy_requests_shed_total", "artifact_proxy_storage_retries_total"}
    wanted = {each.name + "_count" * (each.kind == "histogram") for each in defined()} - without
    assert len(wanted) > 10
    # The others are of what did not happen.
    wait_until(lambda: wanted <= {sample.name for sample in known.scrape().samples}, "all are told")
    assert known.scrape().value("artifact_proxy_build_info", version=__version__) == 1
    assert known.scrape().value("process_resident_memory_bytes") > 1_000_000


def test_nothing_tells_who_asked_for_what(known: Known, folder: str) -> None:
    for path in (f"{folder}/secret", f"{folder}/secret?path=secret", "%ff/secret", f"{folder}/secret/"):
        known.send("PUT", path, b"x")
        known.send("GET", path)
    headers = {"Authorization": "Bearer secret", "X-Request-Id": "secret"}
    assert known.client.get(f"{known.server.url}/metrics", headers=headers).status_code == 401
    text = known.scrape().text
    assert REQUESTS in text
    for kept in ("secret", folder, "mallory", known.token, str(known.server.root), "127.0.0.1"):
        assert kept not in text


def test_strangers_make_no_labels_of_their_own(known: Known) -> None:
    def labels() -> set[frozenset[str]]:
        """Those of requests, but for the scrapes themselves."""
        told = [each.labels for each in known.scrape().samples if each.name == REQUESTS]
        return {frozenset(each.values()) for each in told if each["route"] != "/metrics"}

    def ask(number: int) -> None:
        for method, path in (("GET", f"nope-{number}"), ("PROPFIND", "a"), ("GET", f"v1/artifacts/{number}")):
            known.client.request(method, f"{known.server.url}/{path}")

    ask(0)
    wait_until(lambda: frozenset({"GET", ARTIFACT, "404"}) in labels(), "the last of them is counted")
    before = labels()
    assert frozenset({"GET", "other", "404"}) in before
    for number in range(1, 6):
        ask(number)
    assert labels() == before


class TestExposition:
    def test_it_has_the_form_that_is_asked_for(self, known: Known) -> None:
        url = f"{known.server.url}/metrics"
        plain = known.client.get(url)
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert plain.headers["cache-control"] == "no-store"
        wanted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
        newer = known.client.get(url, headers=wanted)
        assert newer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        families = list(text_string_to_metric_families(newer.text))
        assert {each.name.removesuffix("_total") for each in defined()} <= {each.name for each in families}
        assert known.client.head(url).status_code == 200

    @pytest.mark.parametrize(
        "accept", ["", "*/*", "application/openmetrics-text; version=x", "text/plain;version=x", ","]
    )
    def test_it_takes_any_wish(self, accept: str) -> None:
        text, media_type = metrics.exposed(accept)
        assert b"artifact_proxy_build_info" in text
        assert "version=x" not in media_type

    def test_it_waits_for_no_storage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = config.load(
            {"default_artifact_root": str(tmp_path / "root"), "storage_threads": "1"}, None
        ).settings
        hangs, goes_on = threading.Event(), threading.Event()

        def stat(_: object) -> None:
            hangs.set()
            goes_on.wait()
            raise ArtifactNotFound("It is gone.")

        async def asked() -> int:
            async with (
                app.router.lifespan_context(app),
                httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
            ):
                hanging = asyncio.create_task(client.head("/v1/artifacts/a"))
                try:
                    assert await asyncio.to_thread(hangs.wait, 20)
                    got = await asyncio.wait_for(client.get("/metrics"), 20)
                    assert not hanging.done()
                finally:
                    goes_on.set()
                    await hanging
            return got.status_code

        with closing(open_storage(settings, prepare=True)) as storage:
            monkeypatch.setattr(storage, "stat", stat)
            app = create_app(settings, storage)
            assert asyncio.run(asked()) == 200
