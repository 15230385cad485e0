"""What is deployed: the image, built once for all tests, and the services of docker compose."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import VARIANTS, services
from tests.support.dockerfile import Image, build


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """What the Dockerfile builds, as a directory of this machine; see `Image.environment`."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # which all workers of the run share
    return _built_once(base / "image")


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return VARIANTS[request.param]


@pytest.fixture
def all_services(variant: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return services(variant)


def _built_once(directory: Path) -> Image:
    with directory.with_name("image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if directory.exists():
            assert (directory / "built").exists(), "the image could not be built; see the first test of it"
            return Image(directory)
        directory.mkdir()
        image = build(directory)
        (directory / "built").touch()
        return image
