"""Small artifacts that are asked of a store before their turn comes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.api.folders.read_ahead import ReadAhead
from app.errors import StorageUnavailable
from app.paths import ArtifactPath
from app.storage.base import Storage
from app.storage.entry import Entry
from app.storage.local import LocalSettings, open_storage
from tests.support.artifacts import put


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(
        open_storage(str(tmp_path / "root"), LocalSettings(durability="none"), read_only=False)
    ) as opened:
        yield opened


class Slow:
    """A remote storage in which every artifact can be stopped at its beginning."""

    plain_files = False

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self.go = threading.Semaphore(0)
        self.running = self.most = self.opened = self.closed = 0

    def read(self, at: ArtifactPath) -> object:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.go.acquire()
        with self._lock:
            self.running -= 1
        if at.name == "broken":
            raise StorageUnavailable("away")
        download = self._storage.read(at)
        close = download.close

        def closed() -> None:
            self.closed += 1
            close()

        download.close = closed  # type: ignore[method-assign]  # a spy
        self.opened += 1
        return download


class TestReadingAhead:
    def names(self, ahead: ReadAhead, entries: Iterable[Entry]) -> list[str]:
        found = []
        for download, first in ahead.downloads(iter(entries)):
            with closing(download):
                assert first == download.entry.path.name.encode()
                found.append(download.entry.path.name)
        return found

    def slow(self, storage: Storage, *names: str) -> tuple[Slow, ReadAhead, list[Entry]]:
        entries = [put(storage, f"d/{name}", name.encode()) for name in names]
        slow = Slow(storage)
        return slow, ReadAhead(slow), entries  # type: ignore[arg-type]  # it has what is used

    def test_several_are_read_at_once_and_given_in_their_order(self, storage: Storage) -> None:
        slow, ahead, entries = self.slow(storage, *(f"{number:02}" for number in range(30)))
        storage.delete(entries[5].path)
        storage.delete(entries[6].path)
        put(storage, "d/06/x")
        for _ in range(100):
            slow.go.release()
        with closing(ahead):
            assert self.names(ahead, entries) == [
                f"{number:02}" for number in range(30) if number not in {5, 6}
            ]
        assert slow.opened == slow.closed == 28

    def test_no_more_are_asked_for_than_there_is_room_for(self, storage: Storage) -> None:
        slow, ahead, entries = self.slow(storage, *(f"{number:02}" for number in range(30)))
        taken: list[str] = []
        with closing(ahead):
            reader = threading.Thread(target=lambda: taken.extend(self.names(ahead, entries)))
            reader.start()
            for _ in range(30):
                slow.go.release()
            reader.join(20)
        assert len(taken) == 30
        assert slow.most <= 9

    def test_a_failure_comes_at_its_turn(self, storage: Storage) -> None:
        slow, ahead, entries = self.slow(storage, "a", "b", "broken", "c")
        for _ in range(100):
            slow.go.release()
        with closing(ahead), closing(ahead.downloads(iter(entries))) as downloads:
            taken = [next(downloads), next(downloads)]
            with pytest.raises(StorageUnavailable):
                next(downloads)
            for download, _ in taken:
                download.close()
        assert [first for _, first in taken] == [b"a", b"b"]
        assert slow.opened == slow.closed

    def test_what_nobody_takes_is_closed(self, storage: Storage) -> None:
        slow, ahead, entries = self.slow(storage, *"abcdefghi")
        slow.go.release()
        downloads = ahead.downloads(iter(entries))
        slow.go.release()
        next(downloads).download.close()
        downloads.close()
        for _ in range(100):
            slow.go.release()
        ahead.close()
        assert slow.opened == slow.closed
