"""Traces, as a real collector gets them from a real server."""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import __version__
from tests.support.collector import Collector, Span, collecting
from tests.support.raw import connection, head
from tests.support.server import Server, running
from tests.support.waiting import wait_until

QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
ROUTE = "/v1/artifacts/{path:path}"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("traced") / "root"
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
    }
    with running(root, "--log-format", "json", environment=QUICKLY | environment) as server:
        yield server


Ask = Callable[..., tuple[httpx.Response, Span]]


@pytest.fixture
def ask(traced: Server, client: httpx.Client, collector: Collector) -> Ask:
    """Gives the answer to a request, and its span."""

    def asked(method: str, path: str, **options: Any) -> tuple[httpx.Response, Span]:
        answer = client.request(method, f"{traced.url}{path}", **options)
        return answer, collector.served(answer.headers["x-request-id"])

    return asked


def test_a_request_is_a_span_by_the_conventions(ask: Ask, collector: Collector, folder: str) -> None:
    answer, span = ask("PUT", f"/v1/artifacts/{folder}/a", content=b"12345")
    assert answer.status_code == 201
    assert (span.name, span.is_server, span.is_error, span.parent_id) == (f"PUT {ROUTE}", True, False, "")
    port = int(str(answer.request.url.port))
    assert span.attributes == {
        "http.request.method": "PUT",
        "http.route": ROUTE,
        "http.response.status_code": 201,
        "http.request.body.size": 5,
        "http.response.body.size": len(answer.content),
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "artifact_proxy.request_id": answer.headers["x-request-id"],
        "artifact_proxy.outcome": "done",
    }
    assert 0 < span.end - span.start < 60e9
    assert collector.targets == {"/v1/traces"}


def test_the_storage_calls_of_a_request_are_its_parts(ask: Ask, collector: Collector, folder: str) -> None:
    data = bytes(3_000_000)
    _, span = ask("PUT", f"/v1/artifacts/{folder}/a", content=data)
    upload = collector.below(span)
    assert {"storage.create", "storage.writes", "storage.commit"} <= set(upload)
    assert upload["storage.writes"].attributes["artifact_proxy.storage.bytes"] == len(data)
    assert float(upload["storage.writes"].attributes["artifact_proxy.storage.seconds"]) > 0
    _, span = ask("GET", f"/v1/artifacts/{folder}/a")
    download = collector.below(span)
    assert set(download) == {"storage.read", "storage.read_chunks"}
    assert download["storage.read_chunks"].attributes["artifact_proxy.storage.bytes"] == len(data)
    _, span = ask("GET", f"/v1/artifacts/{folder}/")
    listing = collector.below(span)
    _, span = ask("DELETE", f"/v1/artifacts/{folder}/a")
    deletion = collector.below(span)
    assert "storage.list" in listing
    assert "storage.delete" in deletion
    for part in (*upload.values(), *download.values(), *listing.values(), *deletion.values()):
        assert part.attributes["artifact_proxy.storage.outcome"] == "ok"
        assert not part.is_server
        assert not part.is_error
        [whole] = [each for each in collector.spans if each.span_id == part.parent_id]
        assert whole.trace_id == part.trace_id
        assert whole.start <= part.start <= part.end <= whole.end


def test_the_trace_that_comes_in_goes_on(ask: Ask, collector: Collector, folder: str) -> None:
    trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
    headers = {"traceparent": f"00-{trace_id}-{parent_id}-01", "tracestate": "vendor=x"}
    _, span = ask("GET", f"/v1/artifacts/{folder}/", headers=headers)
    assert (span.trace_id, span.parent_id) == (trace_id, parent_id)
    assert {part.trace_id for part in collector.below(span).values()} == {trace_id}


@pytest.mark.parametrize("sent", ["", "00-0-0-00", f"00-{'0' * 32}-{'0' * 16}-01", "\xff" * 100])
def test_a_trace_that_makes_no_sense_is_begun_anew(ask: Ask, sent: str) -> None:
    answer, span = ask("GET", "/version", headers={"traceparent": sent.encode("latin-1")})
    assert answer.status_code == 200
    assert span.parent_id == ""
    assert int(span.trace_id, 16)


def test_a_trace_that_is_not_sampled_stays_so(
    traced: Server, client: httpx.Client, collector: Collector, ask: Ask
) -> None:
    trace_id = secrets.token_hex(16)
    client.get(f"{traced.native}/", headers={"traceparent": f"00-{trace_id}-{'1' * 16}-00"})
    ask("GET", "/version")
    assert trace_id not in {span.trace_id for span in collector.spans}


def test_what_is_the_callers_mistake_is_no_error(ask: Ask, collector: Collector, folder: str) -> None:
    answer, span = ask("GET", f"/v1/artifacts/{folder}/missing")
    assert answer.status_code == 404
    assert not span.is_error
    assert "error.type" not in span.attributes
    assert span.attributes["http.response.status_code"] == 404
    assert span.attributes["artifact_proxy.outcome"] == "failed"
    read = collector.below(span)["storage.read"]
    assert not read.is_error
    assert read.attributes["artifact_proxy.storage.outcome"] == "artifact_not_found"


def test_a_failure_of_the_storage_is_an_error_of_the_request_and_of_the_call(
    ask: Ask, traced: Server, collector: Collector, folder: str
) -> None:
    elsewhere = traced.root.rename(traced.root.with_name("elsewhere"))
    try:
        answer, span = ask("GET", f"/v1/artifacts/{folder}/a")
    finally:
        elsewhere.rename(traced.root)
    assert answer.status_code == 503
    assert span.is_error
    assert span.attributes["error.type"] == "503"
    read = collector.below(span)["storage.read"]
    assert read.is_error
    assert read.attributes["error.type"] == "storage_unavailable"
    assert read.attributes["artifact_proxy.storage.outcome"] == "storage_unavailable"


def test_a_client_that_goes_away_is_told_of_and_no_error(
    traced: Server, collector: Collector, folder: str
) -> None:
    request_id = secrets.token_hex(16)
    target = f"/v1/artifacts/{folder}/a"
    request = head("PUT", target, "Content-Length: 1000", f"X-Request-Id: {request_id}")
    with connection(traced.url) as connected:
        connected.sendall(request + b"the beginning")
        wait_until(traced.staged, "an upload")
    span = collector.served(request_id)
    assert span.attributes["artifact_proxy.outcome"] == "aborted"
    assert not span.is_error
    assert {"storage.create", "storage.abort"} <= set(collector.below(span))


def test_no_route_and_no_known_method_make_no_names_of_their_own(ask: Ask) -> None:
    answer, span = ask("GET", "/nothing/here")
    assert (answer.status_code, span.name) == (404, "GET")
    assert "http.route" not in span.attributes
    answer, span = ask("PROPFIND", "/version")
    assert (answer.status_code, span.name) == (405, "HTTP /version")
    assert span.attributes["http.request.method"] == "_OTHER"


def test_nothing_of_a_path_a_query_or_a_credential_leaves(
    ask: Ask, collector: Collector, folder: str
) -> None:
    path = f"/v1/artifacts/{folder}/hidden-name"
    headers = {"Authorization": "Bearer hidden-token", "Cookie": "hidden-cookie"}
    for method, query in (("PUT", ""), ("GET", "?hidden-query=1"), ("DELETE", ""), ("GET", "?token=hidden")):
        ask(method, path + query, headers=headers)
    ask("GET", "/v1/artifacts/", params={"path": "hidden"})
    assert b"hidden" not in collector.received
    assert folder.encode() not in collector.received


def test_what_is_done_for_no_request_is_no_trace(
    ask: Ask, traced: Server, client: httpx.Client, collector: Collector
) -> None:
    assert client.get(f"{traced.url}/ready").status_code == 200
    ask("GET", "/version")
    assert {span.name for span in collector.spans if not span.parent_id and not span.is_server} == set()
    assert "storage.check" not in {span.name for span in collector.spans}


def test_the_log_leads_to_the_trace(ask: Ask, traced: Server) -> None:
    answer, span = ask("GET", "/version")
    request_id = answer.headers["x-request-id"]

    def line() -> dict[str, Any] | None:
        lines = [json.loads(text) for text in traced.log().splitlines() if text.startswith("{")]
        return next((line for line in lines if line.get("request_id") == request_id), None)

    wait_until(line, "the access line")
    logged = line()
    assert logged is not None
    assert (logged["trace_id"], logged["span_id"]) == (span.trace_id, span.span_id)


def test_the_server_says_who_it_is(ask: Ask) -> None:
    _, span = ask("GET", "/version")
    assert span.resource["service.name"] == "artifact-proxy"
    assert span.resource["service.version"] == __version__
    assert span.resource["deployment.environment.name"] == "staging"


def test_the_librarys_own_variables_hold_and_at_its_end_the_server_exports_what_is_left(
    collector: Collector, client: httpx.Client, tmp_path: Path
) -> None:
    environment = {
        "OTEL_TRACES_EXPORTER": "otlp, console",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/elsewhere",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        "OTEL_SERVICE_NAME": "other-name",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"}
    with running(tmp_path / "root", environment=environment) as server:
        alone = client.get(f"{server.url}/version").headers["x-request-id"]
        called = client.get(f"{server.url}/version", headers=headers).headers["x-request-id"]
        assert called.encode() not in collector.received
    span = collector.served(called)
    assert span.trace_id == trace_id
    assert span.resource["service.name"] == "other-name"
    assert "/elsewhere" in collector.targets
    assert alone.encode() not in collector.received
    assert f'"artifact_proxy.request_id": "{called}"' in server.log()


class TestCollectorThatIsAway:
    def test_costs_no_request_anything_and_is_told_of_once(
        self, serve: Callable[..., Server], client: httpx.Client
    ) -> None:
        server = serve(
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
            OTEL_BSP_SCHEDULE_DELAY="10",
            OTEL_EXPORTER_OTLP_TIMEOUT="0.05",
        )
        deadline = time.monotonic() + 1
        count = 0
        while time.monotonic() < deadline:
            assert client.get(f"{server.url}/health").status_code == 200
            count += 1
        assert count > 20
        wait_until(lambda: "export" in server.log(), "a word about the collector")
        assert server.log().count("xport") <= 2
        assert "Traceback" not in server.log()

    def test_and_says_nothing_keeps_the_server_from_nothing(
        self, client: httpx.Client, tmp_path: Path
    ) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            running(
                tmp_path / "root",
                environment=QUICKLY
                | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}"},
            ) as server,
        ):
            for _ in range(50):
                assert client.get(f"{server.url}/health").elapsed.total_seconds() < 2
            began = time.monotonic()
        assert time.monotonic() - began < 12
        assert "The last spans could not be exported" in server.log()
