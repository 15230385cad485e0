"""The OpenAPI document against a live server: what is answered to requests made from it is what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz.conftest import Known
from tests.support.programs import installed
from tests.support.server import clean_environment

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance", "ignored_auth"),
)
SHORT_SECONDS = 8
LONG_SECONDS = 1800


@pytest.mark.timeout(LONG_SECONDS + 120)
def test_the_server_does_what_the_document_says(known: Known, tmp_path: Path, long: bool) -> None:
    """Its own process, as its warnings would be errors here; in its own directory, as it leaves notes.

    Nothing measures its code, so that it asks nearly twice as much in the same time.
    """
    ran = subprocess.run(
        [
            *(installed("schemathesis"), "--config-file", Path(__file__).with_name("schemathesis.toml")),
            *("run", f"{known.server.url}/openapi.json", "--checks", ",".join(CHECKS)),
            *("--header", f"Authorization: Bearer {known.token}", "--continue-on-failure"),
            *("--phases", "examples,coverage,fuzzing", "--warnings", "off"),
            *("--max-time", str(LONG_SECONDS if long else SHORT_SECONDS)),
        ],
        cwd=tmp_path,
        env={name: text for name, text in clean_environment().items() if not name.startswith("COVERAGE_")},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "38 selected / 38 total" in ran.stdout
    assert known.token not in known.server.log()
    assert "Traceback" not in known.server.log()
