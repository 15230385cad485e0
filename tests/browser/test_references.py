"""What the copy buttons give works where it is pasted."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.browser.listing import heading, row
from tests.e2e.conftest import Proxy
from tests.support.access import token_stanza
from tests.support.chromium import Complaints, Visitor
from tests.support.guarded import guarded
from tests.support.mlflow_server import mlflow_environment

CLIPBOARD = ["clipboard-read", "clipboard-write"]
NAME = "it's 100% $HOME #1.txt"
"""In which a shell, and a URL, see more than letters."""
OPTION = "-rf &calc`"


@pytest.fixture
def below(local_place: Proxy, folder: str) -> str:
    local_place.root.put(f"{folder}/sub/{NAME}", b"content")
    return folder


def copied(page: Page, button: str) -> str:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("status")).to_contain_text("Copied")
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def run_by_bash(command: str, directory: Path, **environment: str) -> None:
    subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={"PATH": os.environ["PATH"]} | environment,
        check=True,
        capture_output=True,
    )


def test_the_path_is_that_of_the_artifact(local_place: Proxy, below: str, visitor: Visitor) -> None:
    page = visitor.open(local_place.server.url, f"{below}/sub/{quote(NAME)}", permissions=CLIPBOARD)
    expect(heading(page)).to_have_text(NAME)
    assert copied(page, "Copy path") == f"{below}/sub/{NAME}"


def test_the_curl_command_fetches_the_artifact(
    local_place: Proxy, below: str, visitor: Visitor, tmp_path: Path
) -> None:
    """And in other shells, whose quotes are others, there is nothing in it in which they would see more."""
    local_place.root.put(f"{below}/sub/{OPTION}", b"another")
    page = visitor.open(local_place.server.url, f"{below}/sub/", permissions=CLIPBOARD)
    for name in (NAME, OPTION):
        row(page, name).click()
        expect(heading(page)).to_have_text(name)
        command = copied(page, "Copy curl command")
        assert re.fullmatch(r'curl -fL -o "[\w ./+=@-]+" "[\w.~:/%-]+"', command)
        run_by_bash(command, tmp_path)
        page.go_back()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "it_s 100_ _HOME _1.txt": b"content",
        "-rf _calc_": b"another",
    }


def test_the_curl_command_of_a_folder_fetches_all_of_it(
    local_place: Proxy, below: str, visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.open(local_place.server.url, f"{below}/sub/", permissions=CLIPBOARD)
    page.get_by_text("Use elsewhere").click()
    run_by_bash(copied(page, "Copy curl command"), tmp_path)
    with zipfile.ZipFile(io.BytesIO((tmp_path / "sub.zip").read_bytes())) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {NAME: b"content"}


def test_the_curl_command_takes_the_token_from_the_environment(
    visitor: Visitor, complaints: Complaints, tmp_path: Path
) -> None:
    complaints.expect("status of 401")
    token, stanza = token_stanza("alice", "all:")
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    with guarded(tmp_path / "server", stanza) as server:
        (server.root / "a.txt").write_text("content")
        page = visitor.open(server.url, "a.txt", permissions=CLIPBOARD)
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        command = copied(page, "Copy curl command")
        assert token not in command
        run_by_bash(command, fetched, ARTIFACT_PROXY_TOKEN=token)
    assert (fetched / "a.txt").read_text() == "content"


_DOWNLOAD = """
import json, sys
from mlflow.artifacts import download_artifacts, list_artifacts
uri = sys.argv[1]
listed = [each.path for each in list_artifacts(uri)]
print(json.dumps([listed, download_artifacts(uri, dst_path=sys.argv[2])]))
"""


def test_the_mlflow_uri_is_taken_by_mlflow(
    local_place: Proxy, folder: str, visitor: Visitor, tmp_path: Path
) -> None:
    local_place.root.put(f"{folder}/model/MLmodel", b"flavors: {}\n")
    page = visitor.open(local_place.server.url, f"{folder}/model/", permissions=CLIPBOARD)
    page.get_by_text("Use elsewhere").click()
    uri = copied(page, "Copy MLflow URI")
    command = [sys.executable, "-c", _DOWNLOAD, uri, str(tmp_path)]
    environment = mlflow_environment() | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, cwd=tmp_path, check=True, capture_output=True, text=True)
    listed, downloaded = json.loads(done.stdout.splitlines()[-1])
    assert listed == ["model/MLmodel"]
    assert Path(downloaded, "MLmodel").read_bytes() == b"flavors: {}\n"
