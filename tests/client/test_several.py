"""Several things at once: one that fails stops no other, and what is done is told as soon as it is."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from artifact_proxy import Client
from tests.client.answering import Answer, answering
from tests.support.client_command import DONE, Run
from tests.support.interposer import Interposer
from tests.support.interposer_actions import forward, hang_before_body
from tests.support.interposer_exchange import Exchange
from tests.support.patched import ROOT
from tests.support.server import Server, clean_environment
from tests.support.waiting import SECONDS, wait_until


def names(remote: Client, folder: str) -> list[str]:
    return [entry.path.removeprefix(f"{folder}/") for entry in remote.list(folder, recursive=True)]


class TestFailures:
    def test_of_names_stop_no_other_upload(self, run: Run, remote: Client, folder: str, place: Path) -> None:
        (place / "d" / "e").mkdir(parents=True)
        for name in ("a", os.fsdecode(b"\xff"), "tab\there", "e/z", "z"):
            (place / "d" / name).write_bytes(b"x")
        ended = run("put", "d", "none", f"{folder}/")
        assert (ended.out, ended.err.count("\n")) == ("", 3)
        assert ended.status in {1, 2}  # that of the first, whichever it is
        assert names(remote, folder) == ["d/a", "d/e/z", "d/z"]

    def test_of_folders_that_cannot_be_read_stop_no_other_upload(
        self, run: Run, remote: Client, folder: str, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a/x", "b/x", "c/x"):
            (place / "d" / name).parent.mkdir(parents=True)
            (place / "d" / name).write_bytes(b"x")
        scandir = os.scandir

        def refuse(folder: Path) -> object:
            if Path(folder).name == "b":
                raise PermissionError(13, "Permission denied")
            return scandir(folder)

        # For the superuser, who may run this, no folder is closed.
        monkeypatch.setattr("os.scandir", refuse)
        ended = run("put", "d", folder)
        assert (ended.status, ended.err) == (1, "artifact-proxy: 'd/b' cannot be read: Permission denied.\n")
        assert names(remote, folder) == ["a/x", "c/x"]

    @pytest.mark.parametrize("bad", ["x" * 300, "link/b", "..", "c\ud800", "file/b"])
    def test_of_names_stop_no_other_download(self, run: Run, place: Path, bad: str) -> None:
        here = place / "here"
        (here / "d").mkdir(parents=True)
        (here / "d" / "file").touch()
        (here / "d" / "link").symlink_to(place)
        listed = [
            {"path": f"d/{name}", "is_dir": False, "size": 1, "etag": "x", "modified": None}
            for name in ("a", bad, "z")
        ]
        listing = json.dumps({"entries": listed, "next_page_token": None}).encode()

        def respond(method: str, target: str) -> Answer:
            return Answer(listing) if "max_results" in target else Answer(b"x", headers={"ETag": '"x"'})

        with answering(respond) as url:
            ended = run("get", "-r", "d", "here", "--server", url)
        assert ended.status in {1, 2}
        assert ended.err.count("\n") == 1
        assert (here / "d" / "a").read_bytes() == (here / "d" / "z").read_bytes() == b"x"

    def test_of_what_matches_stop_no_other_deletion(self, run: Run, remote: Client, folder: str) -> None:
        for name in ("a", "b/x", "c"):
            remote.put_bytes(b"x", f"{folder}/{name}")
        ended = run("rm", f"{folder}/*")
        assert (ended.status, ended.err.count("\n")) == (5, 1)
        assert names(remote, folder) == ["b/x"]


def test_artifacts_that_are_named_by_urls_come_at_once(
    run: Run, remote: Client, front: Interposer, folder: str, place: Path
) -> None:
    both = threading.Barrier(2)

    def together(exchange: Exchange) -> None:
        both.wait(SECONDS)
        forward(exchange)

    for name in ("a", "b"):
        remote.put_bytes(name.encode(), f"{folder}/{name}")
    front.clear()
    front.on(lambda request: request.method == "GET", together, times=2)
    (place / "here").mkdir()
    mlflow = f"{front.url}/api/2.0/mlflow-artifacts/artifacts"
    urls = [f"{front.url}/v1/artifacts/{folder}/a", f"{mlflow}/{folder}/b"]
    ended = run("get", *urls, "here", "--retries", "0")
    front.forget_rules()
    assert ended == DONE
    assert not both.broken
    assert (place / "here" / "b").read_bytes() == b"b"


def test_a_server_has_one_client_however_it_is_named(server: Server) -> None:
    with Client(server.url) as client:
        first, _ = client.located(f"{server.native}/a")
        second, _ = client.located(f"{server.mlflow}/artifacts/b")
        named, _ = client.located("c")
        assert first is second is named is client


def test_what_is_done_is_told_at_once_also_if_the_rest_is_interrupted(
    server: Server, front: Interposer, folder: str, place: Path
) -> None:
    for name in ("a", "b"):
        (place / name).write_bytes(name.encode())
    front.clear()
    front.on(lambda request: request.path.endswith("/b"), hang_before_body, times=None)
    command = [sys.executable, "-m", "app", "put", "--json", "a", "b", f"{folder}/", "--server", front.url]
    with subprocess.Popen(
        command,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        output = process.stdout
        try:
            wait_until(lambda: select.select([output], [], [], 0)[0], "the first upload is told of")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        finally:
            process.kill()
            front.forget_rules()
    assert (process.returncode, err) == (130, "")
    assert [json.loads(line)["path"] for line in out.splitlines()] == [f"{folder}/a"]
