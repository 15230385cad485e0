"""Each recipe of docs/recipes.md is run as it stands there, from its first block to its last."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.access import token_stanza
from tests.support.access_log import logged
from tests.support.documents import SERVER, blocks, sections
from tests.support.guarded import guarded
from tests.support.programs import installed
from tests.support.quick_starts import terminal
from tests.support.server import Server, running

SECTIONS = sections("docs/recipes.md")
OF_SERVICES = {"GitHub Actions": "vendor.github-workflows", "GitLab CI": "vendor.gitlab-ci"}
"""With the schema of what each one reads."""
OF_PROGRAMS = [title for title in SECTIONS if title not in {*OF_SERVICES, "With a token"}]
RUNNERS = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
TABLE = f"""\
python -c 'import pandas; pandas.DataFrame({{"name": ["a", "b"], "loss": [1, 20]}}).to_parquet("t.parquet")'
curl -sS --fail -T t.parquet {SERVER}/v1/artifacts/tables/losses.parquet
"""
MODEL = f"curl -sS --fail -T - {SERVER}/v1/artifacts/models/a/model.bin <<< model"
BEFORE = {
    "MLflow": MODEL,
    "Airflow": MODEL,
    "pyarrow": TABLE,
    "DuckDB": TABLE,
    "safetensors": f"""\
python -c 'import numpy; from safetensors.numpy import save_file
save_file({{"layer.weight": numpy.ones((3, 4))}}, "m")'
curl -sS --fail -T m {SERVER}/v1/artifacts/models/b/model.safetensors
""",
}
"""What a reader has already."""
AIRFLOW = """\
def dag(**options):
    return lambda function: function
task = lambda function: function
"""
"""Enough of it to call the tasks of a DAG, one after the other."""


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("recipes") / "root") as started:
        yield started


def follow(title: str, server: Server, directory: Path, **variables: str) -> None:
    """Runs the blocks of a section in order, as one reader in one directory."""
    followed = [("bash", BEFORE.get(title, "")), *blocks(SECTIONS[title], "bash", "python")]
    environment = terminal(ARTIFACT_PROXY_SERVER=server.url, **variables)
    for language, text in followed:
        text = text.replace(SERVER, server.url)
        done = subprocess.run(
            [*RUNNERS[language], text],
            cwd=directory, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("title", OF_PROGRAMS)
def test_the_recipe_works(title: str, own_server: Server, tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "sdk.py").write_text(AIRFLOW)
    follow(title, own_server, tmp_path, PYTHONPATH=str(tmp_path))


@pytest.mark.parametrize(
    ("title", "statuses"),
    # A dataset asks for the type first, and leaves without the bytes.
    [("pandas", {206}), ("pyarrow", {206}), ("DuckDB", {200, 206})],
)
def test_a_table_is_read_in_parts(title: str, statuses: set[int], own_server: Server, tmp_path: Path) -> None:
    before = len(logged(own_server, "/v1/artifacts/tables/"))
    follow(title, own_server, tmp_path)
    asked = logged(own_server, "/v1/artifacts/tables/")[before:]
    assert {each.status for each in asked if each.method == "GET"} == statuses


def test_with_a_token_each_program_is_known(tmp_path: Path) -> None:
    token, stanza = token_stanza("reader", "all:")
    (tmp_path / "losses.csv").write_text("loss\n1\n")
    with guarded(tmp_path / "guarded", stanza) as server:
        follow("With a token", server, tmp_path, TOKEN=token)


@pytest.mark.parametrize("title", OF_SERVICES)
def test_the_pipeline_is_one_that_the_service_takes(title: str, tmp_path: Path) -> None:
    (block,) = blocks(SECTIONS[title], "yaml")
    (tmp_path / "pipeline.yml").write_text(block.text)
    judged = subprocess.run(
        [installed("check-jsonschema"), "--builtin-schema", OF_SERVICES[title], tmp_path / "pipeline.yml"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("title", OF_SERVICES)
def test_the_pipeline_keeps_its_results(title: str, tmp_path: Path) -> None:
    token, stanza = token_stanza("ci", "all:ci/")
    (block,) = blocks(SECTIONS[title], "yaml")
    variables, steps = pipeline(title, yaml.safe_load(block.text), token)
    with guarded(tmp_path / "guarded", stanza) as server:
        environment = terminal(**variables, SERVER=server.url, GITHUB_SHA="abc", CI_COMMIT_SHA="abc")
        carry_out(steps, tmp_path, environment)
        assert server.tree() == {"ci/abc/log.txt": (tmp_path / "results" / "log.txt").read_bytes()}


@pytest.mark.parametrize("title", [*OF_SERVICES, "curl"])
def test_an_archive_that_cannot_be_made_is_a_failure(title: str, own_server: Server, tmp_path: Path) -> None:
    real = shutil.which("tar")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tar").write_text(f'#!/bin/sh\n{real} "$@"\nexit 2\n')
    (tmp_path / "bin" / "tar").chmod(0o755)
    if title == "curl":
        lines = blocks(SECTIONS[title], "bash")[0].text.replace(SERVER, own_server.url).splitlines()
        steps = [
            Step(
                ["bash", "-ec"],
                "\n".join(lines[: 1 + next(n for n, line in enumerate(lines) if " -T - " in line)]),
            )
        ]
    else:
        (block,) = blocks(SECTIONS[title], "yaml")
        _, steps = pipeline(title, yaml.safe_load(block.text), "token")
    environment = terminal(
        PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        **dict.fromkeys(("TOKEN", "ARTIFACT_PROXY_TOKEN"), "token"),
        **dict.fromkeys(("GITHUB_SHA", "CI_COMMIT_SHA"), "broken"),
        SERVER=own_server.url,
    )
    with pytest.raises(subprocess.CalledProcessError) as caught:
        carry_out(steps, tmp_path, environment)
    assert "tar -C results -cf" in caught.value.cmd[-1]


class Step(NamedTuple):
    shell: list[str]
    """What the service starts; the text comes after it."""
    text: str


def carry_out(steps: list[Step], directory: Path, environment: dict[str, str]) -> None:
    for step in steps:
        subprocess.run([*step.shell, step.text], cwd=directory, env=environment, check=True)


def pipeline(title: str, read: dict[str, Any], token: str) -> tuple[dict[str, str], list[Step]]:
    """The variables and commands of the one job."""
    job = read["jobs"]["train"] if title == "GitHub Actions" else read["train"]
    if title == "GitLab CI":
        # One script in whichever shell the image has.
        return {"ARTIFACT_PROXY_TOKEN": token}, [Step(["sh", "-ec"], "\n".join(job["script"]))]
    assert "secrets.ARTIFACT_PROXY_TOKEN" in json.dumps(job["env"]["TOKEN"])
    shells = {"bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"], None: ["bash", "-ec"]}
    return {"TOKEN": token}, [
        Step(shells[step.get("shell")], step["run"]) for step in job["steps"] if "run" in step
    ]
