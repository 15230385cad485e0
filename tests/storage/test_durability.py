"""What --durability=none saves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.storage.conftest import opened
from tests.support.artifacts import get, path, put


def test_without_durability_nothing_is_synced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = opened(root, durability="none")

    def refuse(descriptor: int) -> None:
        raise AssertionError(f"descriptor {descriptor} was synced")

    monkeypatch.setattr(os, "fsync", refuse)
    put(storage, "new/a", b"data")
    assert get(storage, "new/a") == b"data"
    storage.delete(path("new"))
