"""How an archive is made while it is sent: in pieces, of what is there, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.api.folders.download import ARCHIVE_BYTES, ArchiveDownload
from app.api.folders.read_ahead import ReadAhead
from app.api.transfer import BATCH_BYTES
from app.archives.formats import FORMATS
from app.errors import ArtifactNotFound
from app.paths import ArtifactPath
from app.storage.base import Storage
from app.storage.entry import Entry
from app.storage.local import LocalSettings, open_storage
from tests.support.archives import unpacked
from tests.support.artifacts import path, put
from tests.support.server import Server
from tests.support.unlimited import boundless
from tests.support.usage import forget_peak, peak, resident

MIB = 1024 * 1024


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with closing(
        open_storage(str(tmp_path / "root"), LocalSettings(durability="none"), read_only=False)
    ) as opened:
        yield opened


def archived(
    storage: Storage, directory: str = "d", readable: Callable[[Entry], bool] = lambda entry: True
) -> ArchiveDownload:
    place = ArtifactPath.parse_directory(directory)
    return ArchiveDownload(storage, ReadAhead(storage), place, readable, FORMATS["tar"].writer(), boundless())


class TestDownload:
    def test_its_pieces_are_batches_however_large_its_members_are(self, storage: Storage) -> None:
        for number in range(1500):
            put(storage, f"d/small/{number:04}", b"x")
        put(storage, "d/large", bytes(3 * MIB))
        sizes = [len(batch) for batch in archived(storage)]
        assert max(sizes) <= BATCH_BYTES
        assert len(sizes) < 2 * sum(sizes) / BATCH_BYTES + 2

    def test_what_is_deleted_before_its_turn_is_left_out(self, storage: Storage) -> None:
        put(storage, "d/a", bytes(2 * MIB))
        for name in ("d/b", "d/c", "d/d"):
            put(storage, name)
        download = archived(storage)
        first = bytes(next(download))
        storage.delete(path("d/a"))
        storage.delete(path("d/b"))
        storage.delete(path("d/c"))
        put(storage, "d/c/is/a/directory/now")
        rest = b"".join(download)
        assert unpacked("tar", first + rest) == {"a": bytes(2 * MIB), "d": b"data"}

    def test_where_all_of_it_is_deleted_first_there_is_none(self, storage: Storage) -> None:
        put(storage, "d/a")

        def deleted(entry: Entry) -> bool:
            storage.delete(entry.path)
            return True

        with pytest.raises(ArtifactNotFound, match="below 'd'"):
            next(archived(storage, readable=deleted))
        with pytest.raises(ArtifactNotFound, match="below the artifact root"):
            next(archived(storage, ""))

    def test_closing_it_closes_the_member_that_is_read(self, storage: Storage) -> None:
        put(storage, "d/a", bytes(4 * MIB))
        before = open_files()
        download = archived(storage)
        next(download), next(download)
        assert open_files() > before
        download.close()
        assert open_files() == before

    def test_a_listing_of_many_pages_is_whole_and_holds_no_directory_open(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.api.folders.download._FIRST_PAGE", 2)
        monkeypatch.setattr("app.api.folders.download._PAGE", 3)
        monkeypatch.setattr("app.api.folders.download._BATCH_SECONDS", 0)
        names = [
            f"{directory}{number}" for directory in ("", "a/", "a/b/", "a-/", "z/") for number in range(4)
        ]
        for name in names:
            put(storage, f"d/{name}", name.encode())
        before = open_files()
        download = archived(storage)
        batches = []
        for batch in download:
            batches.append(batch)
            assert open_files() <= before + 1  # the member
        assert unpacked("tar", b"".join(batches)) == {name: name.encode() for name in names}
        assert len(batches) > len(names)

    def test_what_it_holds_is_counted_as_it_grows(
        self, storage: Storage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(500):
            put(storage, f"d/{number}", b"")
        transfer, writer = boundless(), FORMATS["zip"].writer()
        held: list[int] = []
        monkeypatch.setattr(transfer, "grow_to", held.append)
        for _ in ArchiveDownload(storage, ReadAhead(storage), path("d"), lambda _: True, writer, transfer):
            pass
        assert writer.held > 500 * 50
        assert held[-1] > ARCHIVE_BYTES + writer.held


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_memory_is_bounded_however_many_members_there_are(
    serve: Callable[..., Server], client: httpx.Client
) -> None:
    server = serve("--durability", "none")
    count = 20_000
    url, process = f"{server.native}/many/", server.process.pid

    def members() -> Iterator[bytes]:
        writer = FORMATS["tar"].writer()
        piece = bytearray()
        for number in range(count):
            piece += writer.begin(f"{number % 100:03}/{number:06}", 100, None)
            piece += writer.data(b"%0100d" % number) + writer.end()
            if len(piece) > 100_000:
                yield bytes(piece)
                piece.clear()
        yield bytes(piece)
        yield from writer.finish()

    client.get(f"{server.native}/").raise_for_status()
    idle = resident(process)
    forget_peak(process)
    stored = client.put(url, params={"archive": "tar"}, content=members())
    assert stored.json() == {"path": "many", "artifacts": count, "size": 100 * count}
    assert peak(process) - idle < 40 * MIB
    idle = resident(process)
    forget_peak(process)
    size = 0
    with client.stream("GET", url, params={"archive": "zip"}) as got:
        for piece in got.iter_raw():
            size += len(piece)
    assert size > 100 * count
    assert peak(process) - idle < 16 * MIB
