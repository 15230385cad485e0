"""Both HTTP surfaces: what one promises of an artifact, the other one promises too."""

from __future__ import annotations

import pytest

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
