"""What the variables of OpenTelemetry switch on, and what keeps the server from starting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import cli, tracing
from app.tracing import RefusedTracing
from tests.support.server import clean_environment

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    for name, value in request.param.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_TRACES_EXPORTER": " "},
        {"OTEL_SERVICE_NAME": "x", "OTEL_PROPAGATORS": "nonsense"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "True"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "zipkin"},
    ],
    indirect=True,
)
@pytest.mark.usefixtures("variables")
def test_without_variables_that_ask_for_it_there_is_none() -> None:
    assert tracing.opened() is None
    tracing.judge()


@pytest.mark.parametrize(
    "variables",
    [
        ENDPOINT,
        ENDPOINT | {"OTEL_SDK_DISABLED": "no"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector.example/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "Console"},
        {"OTEL_TRACES_EXPORTER": "otlp,console,none"},
        ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_PROPAGATORS": "tracecontext"},
        ENDPOINT
        | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
    ],
    indirect=True,
)
@pytest.mark.usefixtures("variables")
def test_variables_that_ask_for_it_are_enough() -> None:
    tracing.judge()
    opened = tracing.opened()
    assert opened is not None
    opened.close()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "^OTEL_TRACES_EXPORTER='zipkin' .*name otlp, console or none$"),
        ({"OTEL_TRACES_EXPORTER": "otlp,jaeger"}, "'jaeger'"),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "^OTEL_EXPORTER_OTLP_PROTOCOL='grpc' .*set it to http/protobuf",
        ),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
            "^OTEL_EXPORTER_OTLP_TRACES_PROTOCOL='http/json' ",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "^OTEL_EXPORTER_OTLP_ENDPOINT='collector:4318' "),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, "it is no URL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://"}, "^OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="),
        (ENDPOINT | {"OTEL_BSP_MAX_QUEUE_SIZE": "1"}, "max_export_batch_size must be .*correct it$"),
        (ENDPOINT | {"OTEL_BSP_SCHEDULE_DELAY": "abc"}, "for OTEL_BSP_SCHEDULE_DELAY as integer.; correct"),
        (
            ENDPOINT | {"OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER": "nobody"},
            "'nobody' not found",
        ),
    ],
    indirect=["variables"],
)
@pytest.mark.usefixtures("variables")
def test_what_cannot_be_had_is_refused_with_the_remedy(reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RefusedTracing, match=reason):
        tracing.judge()
    with pytest.raises(RefusedTracing, match=reason):
        tracing.opened()
    assert caplog.messages == [], "one sentence is enough"


@pytest.mark.parametrize("variable", ["OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT"])
def test_what_the_framework_cannot_be_imported_with_is_refused_in_one_sentence(variable: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "app", "config"],
        env=clean_environment() | {variable: "nonsense"},
        capture_output=True,
        text=True,
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"artifact-proxy: {variable}='nonsense' cannot be used: ")
    assert line.endswith("; correct it.")


@pytest.mark.parametrize("variables", [ENDPOINT, {"OTEL_TRACES_EXPORTER": "console"}], indirect=True)
@pytest.mark.usefixtures("variables")
def test_without_the_extra_the_start_stops_and_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert cli.main(["--default-artifact-root", str(tmp_path / "root"), "--port", "0"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("artifact-proxy: OTEL_")
    assert "install artifact-proxy[otel], or unset it." in line
    assert not (tmp_path / "root").exists()


def test_a_trace_goes_on_by_those_headers_alone_that_are_named() -> None:
    trace_id = "a" * 32
    script = (
        f"from app import tracing; headers = {{'traceparent': '00-{trace_id}-{'1' * 16}-01'}};"
        "print(tracing.opened().serving('x', headers, {}).__enter__().ids['trace_id'])"
    )
    environment = clean_environment() | {"OTEL_TRACES_EXPORTER": "console", "OTEL_PROPAGATORS": "baggage"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.strip()) == 32
    assert done.stdout.strip() != trace_id


def test_where_nobody_asks_for_it_nothing_of_the_library_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys; from app.main import open_app;"
        f"open_app({{'default_artifact_root': {str(tmp_path)!r}, 'read_only': True}}); print(*sys.modules)"
    )
    environment = clean_environment() | ENDPOINT | {"OTEL_SDK_DISABLED": "true"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    imported = done.stdout.split()
    assert "app.main" in imported
    # The interface alone comes with the framework.
    assert not [name for name in imported if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
