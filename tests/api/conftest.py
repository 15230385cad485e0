"""Both HTTP surfaces: what one promises of an artifact, the other one promises too; and storage threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.api.threads import StorageThreads
from tests.support.server import Server


@pytest.fixture(params=["native", "mlflow", "ajax"])
def base(request: pytest.FixtureRequest, server: Server, folder: str) -> str:
    """The URL of a directory of this test's own, on each surface in turn."""
    prefixes = {
        "native": server.native,
        "mlflow": f"{server.mlflow}/artifacts",
        "ajax": f"{server.url}/ajax-api/2.0/mlflow-artifacts/artifacts",
    }
    return f"{prefixes[request.param]}/{folder}"


@pytest.fixture
def threads() -> Iterator[StorageThreads]:
    opened = StorageThreads(2)
    yield opened
    opened.close()
