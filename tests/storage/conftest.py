"""Every backend over an artifact root of its own, with a view of it behind its back; and the local one."""

from __future__ import annotations

import os
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


def opened(root: Path | str, *, durability: str = "full", read_only: bool = False) -> LocalStorage:
    settings = LocalSettings.model_validate({"durability": durability})
    return open_storage(str(root), settings, read_only=read_only)


class LocalStore(Store):
    def __init__(self, root: Path, durability: str) -> None:
        self.root = root
        self.storage: LocalStorage = opened(root, durability=durability)

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
    under_test = LocalStore(tmp_path / "root", durability)
    yield under_test
    under_test.storage.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return opened(root)
