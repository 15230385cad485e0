"""The order of listings, over stores that list by key, as S3 does, and by name, as real directories are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.paths import ArtifactPath
from app.storage.s3.bucket import Bucket
from app.storage.s3.listing import level, walk
from app.storage.s3.root import S3Root
from tests.support.object_store import ObjectStore
from tests.support.s3_chain import chained

PREFIX = "some/root/"
# Where directories are listed by name, `a-b/` ends the first page of 1000, and `a-b.c` begins the second.
ACROSS_PAGES = {"a/x", *(f"a-a{number:04}" for number in range(998)), "a-b/y", "a-b.c"}
ACROSS_SMALL_PAGES = {"a/x", "a-a0", "a-a1", "a-b/y", "a-b.c"}


class FakeBucket:
    """What listings ask of a bucket with these keys, relative to its root."""

    root = S3Root("bucket", PREFIX)

    def __init__(self, keys: set[str], *, page: int, by_name: bool) -> None:
        self._keys = sorted(PREFIX + key for key in keys)
        self._page = page
        self._by_name = by_name
        self.requests = 0

    def pages(
        self, prefix: str, *, delimiter: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        assert delimiter == "/"
        # Each child of the directory; the name of one that is a directory itself ends with a slash.
        children = {key[len(prefix) :].partition("/") for key in self._keys if key.startswith(prefix)}
        found = {name + slash for name, slash, _ in children if self._comes_after(name, slash, prefix, after)}
        ordered = sorted(found, key=lambda child: child.removesuffix("/") if self._by_name else child)
        for start in range(0, max(len(ordered), 1), self._page):
            page = ordered[start : start + self._page]
            self.requests += 1
            yield {
                "CommonPrefixes": [{"Prefix": prefix + child} for child in page if child.endswith("/")],
                "Contents": [{"Key": prefix + child, "Size": 1} for child in page if not child.endswith("/")],
            }

    def _comes_after(self, name: str, slash: str, prefix: str, after: str) -> bool:
        if not slash or self._by_name:
            return name > after
        return any(key > prefix + after for key in self._keys if key.startswith(f"{prefix}{name}/"))

    def first(self, prefix: str, count: int) -> list[dict[str, str]]:
        self.requests += 1
        return [{"Key": key} for key in self._keys if key.startswith(prefix)][:count]


# Of the characters that may be in a name, some sort before the slash and some after it.
names = st.text("a!-0z", min_size=1, max_size=3)
key_sets = st.sets(st.lists(names, min_size=1, max_size=3).map("/".join), max_size=30)
afters = st.just("") | st.lists(names, min_size=1, max_size=3).map("/".join)
directories = st.just("") | names


def without_conflicts(keys: set[str]) -> set[str]:
    """Where directories are real, none has the name of a file."""
    return {key for key in keys if not any(other.startswith(key + "/") for other in keys)}


def below(keys: set[str], directory: str) -> set[str]:
    start = f"{directory}/" if directory else ""
    return {key[len(start) :] for key in keys if key.startswith(start)}


def opened(keys: set[str], page: int, by_name: bool) -> Bucket:
    return cast(Bucket, FakeBucket(keys, page=page, by_name=by_name))


def in_pages(bucket: Bucket, size: int) -> list[str]:
    """All artifacts, `size` at a time, each listing after the last artifact of the one before."""
    found: list[str] = []
    while True:
        listed = walk(bucket, ArtifactPath(), found[-1] if found else "")
        more = [str(entry.path) for entry in islice(listed, size)]
        if not more:
            return found
        found += more


@pytest.mark.parametrize("by_name", [False, True], ids=["by key", "by name"])
class TestOrder:
    @given(keys=key_sets, after=afters, directory=directories, page=st.integers(1, 4))
    @example(keys={"a/b", "a-b", "a!/b", "a0"}, after="", directory="", page=1)
    @example(keys={"a/b", "a-/b", "a--/b"}, after="a", directory="", page=1)
    def test_of_a_level_is_that_of_names(
        self, by_name: bool, keys: set[str], after: str, directory: str, page: int
    ) -> None:
        keys = without_conflicts(keys) if by_name else keys
        found = [
            (entry.path.name, entry.is_dir)
            for entry in level(opened(keys, page, by_name), ArtifactPath.parse_directory(directory), after)
        ]
        parts = (key.partition("/") for key in below(keys, directory))
        assert found == sorted({(name, bool(slash)) for name, slash, _ in parts if name > after})

    @given(keys=key_sets, after=afters, directory=directories, page=st.integers(1, 4))
    @example(keys={"a/b", "a-b", "a!/b", "a0"}, after="a-b", directory="", page=1)
    @example(keys={"a-/b/a", "a-/b/z", "a-/b-"}, after="a-/b/a", directory="", page=1)
    @example(keys=ACROSS_SMALL_PAGES, after="", directory="", page=4)
    def test_of_a_tree_is_that_of_paths(
        self, by_name: bool, keys: set[str], after: str, directory: str, page: int
    ) -> None:
        keys = without_conflicts(keys) if by_name else keys
        bucket = opened(keys, page, by_name)
        found = [str(entry.path) for entry in walk(bucket, ArtifactPath.parse_directory(directory), after)]
        start = f"{directory}/" if directory else ""
        assert found == [start + key for key in sorted(below(keys, directory)) if key > after]

    @given(keys=key_sets, size=st.integers(1, 5), page=st.integers(1, 4))
    @example(keys=ACROSS_SMALL_PAGES, size=1, page=4)
    @example(keys=ACROSS_SMALL_PAGES, size=2, page=4)
    @example(keys=ACROSS_SMALL_PAGES, size=3, page=4)
    @example(keys=ACROSS_SMALL_PAGES, size=4, page=4)
    @example(keys=ACROSS_SMALL_PAGES, size=5, page=4)
    def test_lets_a_listing_go_on_where_it_stopped(
        self, by_name: bool, keys: set[str], size: int, page: int
    ) -> None:
        keys = without_conflicts(keys) if by_name else keys
        assert in_pages(opened(keys, page, by_name), size) == sorted(keys)

    @pytest.mark.parametrize("size", [333, 998, 999, 1000, 1001])
    def test_lets_a_long_listing_go_on_where_it_stopped(self, by_name: bool, size: int) -> None:
        assert in_pages(opened(ACROSS_PAGES, 1000, by_name), size) == sorted(ACROSS_PAGES)

    @pytest.mark.parametrize("listing", [level, walk])
    def test_of_a_large_directory_is_known_before_its_end(self, by_name: bool, listing: Any) -> None:
        """The directory `img` would come before `img-00001.png` by name, and may come behind all by key."""
        keys = {f"img-{number:05}.png" for number in range(5000)} | {"img/0", "z"}
        bucket = FakeBucket(keys, page=1000, by_name=by_name)
        entries = listing(cast(Bucket, bucket), ArtifactPath(), "")
        first = next(entries)
        assert bucket.requests <= 3
        rest = [str(entry.path) for entry in entries]
        expected = sorted({"img" if key == "img/0" and listing is level else key for key in keys})
        assert [str(first.path), *rest] == expected
        assert (
            bucket.requests <= 6 + 1 + 5
        )  # pages, `img`, and once a page for what the names in it begin with


def test_of_a_real_store_is_the_same_in_pages_of_any_size(object_store: ObjectStore, bucket: str) -> None:
    with chained(object_store, bucket) as chain:

        def put_one(key: str) -> None:
            chain.direct.put_object(Bucket=bucket, Key=PREFIX + key, Body=b"")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put_one, ACROSS_PAGES))
        for size in (1001, 1000, 999, 998, 501):
            found: list[str] = []
            while True:
                after = found[-1] if found else None
                listed = chain.storage.list(ArtifactPath(), recursive=True, after=after)
                more = [str(entry.path) for entry in islice(listed, size)]
                found += more
                if len(more) < size:
                    break
            assert found == sorted(ACROSS_PAGES)
