"""A server that counts, over a root whose files are all in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.instrumented import Instrumented, instrumented


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instrumented]:
    """Tests share it: each writes below names of its own, and leaves nothing large behind."""
    with (
        TemporaryDirectory(dir="/dev/shm") as memory,
        instrumented(Path(memory) / "root", tmp_path_factory.mktemp("counting")) as started,
    ):
        yield started
