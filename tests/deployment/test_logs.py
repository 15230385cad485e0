"""What the shipped files log where: audit lines are not mixed with others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.server import clean_environment, stop
from tests.support.waiting import wait_until

CONFIG = Path(__file__).parents[2] / "config"
_LOGS = re.compile(r"(ARTIFACT_PROXY_(?:AUDIT|ACCESS)_LOG)(?:=|: )\"?([^\"\n]+)")


@pytest.mark.parametrize(
    "file", ["compose/artifact-proxy.env", "kubernetes/artifact-proxy.yaml", "systemd/artifact-proxy.service"]
)
def test_on_standard_output_are_audit_lines_alone_once_the_server_has_said_where_it_is(
    tmp_path: Path, client: httpx.Client, file: str
) -> None:
    variables = dict(_LOGS.findall((CONFIG / file).read_text()))
    command = [sys.executable, "-m", "app", "--default-artifact-root", str(tmp_path / "root"), "--port", "0"]
    log = tmp_path / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=clean_environment() | variables
        )
    assert process.stdout is not None
    with process.stdout as output:
        try:
            url = output.readline().decode().split()[-1]
            wait_until(lambda: "startup complete" in log.read_text(), "the server is ready")
            client.put(f"{url}/v1/artifacts/a", content=b"x").raise_for_status()
            client.get(f"{url}/v1/artifacts/none")
        finally:
            stop(process)
        lines = [json.loads(line) for line in output]
    assert [(line["method"], line["status"]) for line in lines] == [("PUT", 201), ("GET", 404)]
    assert "/v1/artifacts/" not in log.read_text()
