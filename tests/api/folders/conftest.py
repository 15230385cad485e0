"""Servers over a root of each kind, and where to look behind their backs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.presigning import Place
from tests.support.server import Server


@pytest.fixture(scope="module", params=["local", "s3"])
def over(request: pytest.FixtureRequest) -> Server:
    """A server over a root of each kind."""
    started: Server = request.getfixturevalue("server" if request.param == "local" else "plain")
    return started


@pytest.fixture
def watched(over: Server, request: pytest.FixtureRequest) -> Server | Place:
    """Where a refusal must not leave anything."""
    if isinstance(over.artifact_root, Path):
        return over
    place: Place = request.getfixturevalue("place")
    return place
