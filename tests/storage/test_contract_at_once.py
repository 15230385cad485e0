"""What `app.storage.base` promises of reads that wait for nothing, for every backend alike."""

from __future__ import annotations

from contextlib import closing

from app.paths import ArtifactPath
from app.storage.base import Download
from app.storage.ranges import ByteRange
from tests.storage.conftest import LARGE, LocalStore, Store
from tests.support.artifacts import path, put

INSIDE = [
    *(None, ByteRange(0, 0), ByteRange(3, 6), ByteRange(3, 10**30), ByteRange(None, 4)),
    ByteRange(1000, 4_000_000),
]
OUTSIDE = [ByteRange(len(LARGE), None), ByteRange(10**30, None), ByteRange(None, 0)]
NOWHERE = ["b", "d/b", "d/a/b", "x/y/z", "d", "x" * 255, "x/" * 60 + "x"]


def rest_of(download: Download) -> bytes:
    """All that is left of it, at once and otherwise in turns, as far as it can be had at once."""
    found = b""
    while chunk := next(download, b""):
        found += chunk
        while at_once := download.next_at_once():
            found += at_once
            found += next(download, b"")
    return found


class TestReadAtOnce:
    def test_gives_what_read_does_or_nothing(self, store: Store) -> None:
        for name, data in (("d/a", LARGE), ("small", b"data"), ("empty", b"")):
            put(store.storage, name, data)
            for wanted in INSIDE if data == LARGE else [None]:
                download = store.storage.read_at_once(path(name), wanted)
                assert download is None or isinstance(store, LocalStore)
                if download is None:
                    continue
                with closing(download), closing(store.storage.read(path(name), wanted)) as other:
                    assert (download.entry, download.span) == (other.entry, other.span)
                    assert (download.next_at_once() or b"") + rest_of(download) == b"".join(other)
                    assert download.next_at_once() == b""

    def test_gives_nothing_where_read_would_raise(self, store: Store) -> None:
        foreign = store.put_foreign() & {"link", "fifo"}
        put(store.storage, "d/a", LARGE)
        for name in NOWHERE + [f"foreign/{name}" for name in foreign]:
            assert store.storage.read_at_once(path(name)) is None, name
            assert store.storage.read_at_once(path(name), ByteRange(0, 0)) is None, name
        assert store.storage.read_at_once(ArtifactPath()) is None
        for wanted in OUTSIDE:
            assert store.storage.read_at_once(path("d/a"), wanted) is None, wanted


class TestNextAtOnce:
    def test_goes_on_where_another_way_has_been_even_if_it_is_replaced_and_deleted_meanwhile(
        self, store: Store
    ) -> None:
        put(store.storage, "a", LARGE)
        with closing(store.storage.read(path("a"), ByteRange(7, None))) as download:
            first = next(download)
            put(store.storage, "a", b"new")
            store.storage.delete(path("a"))
            assert first + rest_of(download) == LARGE[7:]

    def test_at_the_end_gives_no_more(self, store: Store) -> None:
        for name, data in (("small", b"data"), ("empty", b"")):
            put(store.storage, name, data)
            with closing(store.storage.read(path(name))) as download:
                assert b"".join(download) == data
                assert not download.next_at_once()
                assert next(download, None) is None
