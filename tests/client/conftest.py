"""The client, in a place and an environment of its own, before a server that tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from artifact_proxy import Client
from tests.support.client_command import Run, ended
from tests.support.interposer import Interposer, interposing
from tests.support.server import Server

_VARIABLES = ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def place(no_variables: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The directory in which the client works, whose home has nothing in it."""
    for name in (*_VARIABLES, *(name for name in os.environ if name.lower().endswith("_proxy"))):
        monkeypatch.delenv(name, raising=False)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    yield work
    logging.getLogger("artifact_proxy").handlers = []


@pytest.fixture
def remote(server: Server) -> Iterator[Client]:
    with Client(server.url) as opened:
        yield opened


@pytest.fixture
def run(server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Does what the words after `artifact-proxy` say, in this process."""
    monkeypatch.setenv("ARTIFACT_PROXY_SERVER", server.url)

    return partial(ended, capfd)


@pytest.fixture(scope="module")
def front(server: Server) -> Iterator[Interposer]:
    """Between client and server, for what breaks there."""
    with interposing(server.url) as opened:
        yield opened


@pytest.fixture
def through(front: Interposer) -> Iterator[Client]:
    """A client of the front, which does not wait long, and tries again twice."""
    front.clear()
    with Client(front.url, retries=2, timeout=10) as opened:
        yield opened
    front.forget_rules()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is so at once, unless the server wishes otherwise."""
    monkeypatch.setattr("artifact_proxy.retrying._FIRST_SECONDS", 0.01)
