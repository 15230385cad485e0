"""URLs and MLflow's URIs in the place of a path: where they lead, and what leads nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from artifact_proxy import ArtifactError, Client, ConfigurationError
from artifact_proxy.uris import Location, locate
from tests.support.loopback import listening

ARTIFACTS = "http://artifacts:5500/prefix/api/2.0/mlflow-artifacts/artifacts"
NO_RUN = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run '1' not found"}
TOLD: dict[str, Any] = {
    "runs/get?run_id=1": {"run": {"info": {"artifact_uri": f"{ARTIFACTS}/0/1/artifacts"}}},
    "runs/get?run_id=2": {"run": {"info": {"artifact_uri": "mlflow-artifacts:/0/2/artifacts"}}},
    "runs/get?run_id=3": {"run": {"info": {"artifact_uri": "s3://bucket/0/3"}}},
    "runs/get?run_id=4": {"run": {}},
    "model-versions/get-download-uri?name=a+b&version=3": {"artifact_uri": "runs:/1/model"},
    "model-versions/get-download-uri?name=loop&version=1": {"artifact_uri": "models:/loop/1"},
    "registered-models/alias?name=a+b&alias=best": {"model_version": {"version": "3"}},
    "logged-models/m-1": {"model": {"info": {"artifact_uri": "mlflow-artifacts:/0/models/m-1"}}},
}


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A tracking server that knows some runs and models."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking/")
    return lambda url: TOLD[url.removeprefix("http://tracking/api/2.0/mlflow/")]


@pytest.mark.parametrize(
    ("text", "server", "path"),
    [
        ("a/b", None, "a/b"),
        ("", None, ""),
        ("http:a/b", None, "http:a/b"),
        ("/runs:/1", None, "/runs:/1"),
        ("http://h:1/v1/artifacts/a%20b/%C3%BC", "http://h:1", "a b/ü"),
        ("https://h/p/v1/artifacts/", "https://h/p", ""),
        ("https://h/p/v1/artifacts", "https://h/p", ""),
        (f"{ARTIFACTS}/a/", "http://artifacts:5500/prefix", "a/"),
        ("http://h/ajax-api/2.0/mlflow-artifacts/artifacts/a", "http://h", "a"),
        ("mlflow-artifacts:/a/b", None, "a/b"),
        ("mlflow-artifacts://h:1/a/b", "http://h:1", "a/b"),
        ("runs:/1", "http://artifacts:5500/prefix", "0/1/artifacts"),
        ("runs:/1/a %?#/b/", "http://artifacts:5500/prefix", "0/1/artifacts/a %?#/b/"),
        ("runs:/2/model", None, "0/2/artifacts/model"),
        ("models:/a b/3", "http://artifacts:5500/prefix", "0/1/artifacts/model"),
        ("models:/a b/3/MLmodel", "http://artifacts:5500/prefix", "0/1/artifacts/model/MLmodel"),
        ("models:/a b@best/x/y", "http://artifacts:5500/prefix", "0/1/artifacts/model/x/y"),
        ("models:/m-1/MLmodel", None, "0/models/m-1/MLmodel"),
    ],
)
def test_it_leads_to_a_server_and_a_path(
    ask: Callable[[str], Any], text: str, server: str | None, path: str
) -> None:
    assert locate(text, ask) == Location(server, path, text.startswith(("runs:", "models:")))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://h/a/b", "no artifact of an artifact-proxy"),
        ("http://[h/v1/artifacts/a", "no URL"),
        ("http://h/v1/artifacts/a?b=c", "more than the URL"),
        ("http://h/v1/artifacts/a#b", "more than the URL"),
        ("runs:/", "names no run"),
        ("runs:/3/a", "at 's3'"),
        ("runs:/4/a", "does not tell where"),
        ("models:/a b", "names no version"),
        ("models:/a b/latest", "names no version"),
        ("models:/loop/1", "from one MLflow URI to the next"),
    ],
)
def test_what_leads_to_no_server_is_said(ask: Callable[[str], Any], text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        locate(text, ask)


@pytest.mark.parametrize("variable", ["", "file:///runs", "sqlite:///mlflow.db"])
def test_a_tracking_server_has_to_be_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    with pytest.raises(ConfigurationError, match=r"MLFLOW_TRACKING_URI='.*' is no URL"):
        locate("runs:/1/a", lambda url: {})


def test_the_tracking_server_gets_no_token_but_that_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(404)
            self.end_headers()
            self.wfile.write(json.dumps(NO_RUN).encode())

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    monkeypatch.setenv("ARTIFACT_PROXY_TOKEN", "own")
    with listening(Handler) as url, Client("http://127.0.0.1:1", "given") as client:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        for token in (None, "mlflow"):
            if token:
                monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
            with pytest.raises(ArtifactError, match="Run '1' not found"):
                client.stat("runs:/1/a")
    assert seen == [None, "Bearer mlflow"]
