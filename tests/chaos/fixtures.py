"""The fixture that tests of single promises take their roots from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.roots import LocalRoot, Root, s3_root


@pytest.fixture(params=["local", "s3"])
def shared_root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Root]:
    """A new root for several servers, in a directory and in the object store, with faults in the latter."""
    if request.param == "local":
        yield LocalRoot(tmp_path / "root")
    else:
        store, bucket = (request.getfixturevalue(name) for name in ("object_store", "bucket"))
        with s3_root(store, bucket) as root:
            yield root
