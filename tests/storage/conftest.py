"""Every backend, each over an artifact root of its own, and a view of it behind its back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.base import Storage
from app.storage.local import LocalSettings, LocalStorage, open_storage


class Store(ABC):
    """A backend under test, with raw access that goes around it."""

    storage: Storage

    @abstractmethod
    def raw(self) -> dict[str, bytes]:
        """Every artifact in the store by its path."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """What unfinished uploads have put into the store."""

    @abstractmethod
    def put_foreign(self) -> set[str]:
        """Puts things into the store that are no artifacts, below foreign/; gives their names."""


class LocalStore(Store):
    def __init__(self, root: Path, durability: str) -> None:
        self.root = root
        settings = LocalSettings.model_validate({"durability": durability})
        self.storage: LocalStorage = open_storage(str(root), settings, read_only=False)

    def raw(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_relative_to(self.root / ".artifact-proxy")
        }

    def leftovers(self) -> list[str]:
        staging = self.root / ".artifact-proxy" / "staging"
        return [path.name for path in staging.iterdir()] if staging.exists() else []

    def put_foreign(self) -> set[str]:
        import os

        directory = self.root / "foreign"
        directory.mkdir()
        (directory / "target").write_bytes(b"x")
        (directory / "link").symlink_to("target")
        (directory / "line\nbreak").write_bytes(b"x")
        (directory / "back\\..\\slash").write_bytes(b"x")
        (directory / ".artifact-proxy-mine").write_bytes(b"x")
        (directory / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"x")
        os.mkfifo(directory / "fifo")
        (directory / "target").rename(self.root / "target")
        return set(os.listdir(directory))


@pytest.fixture(params=["local", "local-none"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    durability = "none" if request.param == "local-none" else "full"
    opened = LocalStore(tmp_path / "root", durability)
    yield opened
    opened.storage.close()
