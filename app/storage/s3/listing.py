"""Directories, as S3 can tell of them: groups of keys with a common beginning.

Stores differ in their order: most list by key, where a directory counts with the slash at its end,
so that `a/` comes behind `a-b`; those that keep real directories list by name. Here an entry is
given as soon as, in either order, none can come any more that belongs before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.foreign import ForeignNames
from app.storage.s3.bucket import Bucket
from app.storage.s3.entries import listed_entry


class _Child(NamedTuple):
    key: str
    """Relative to its directory, with a slash at the end of a directory's own."""
    found: Any = None

    @property
    def name(self) -> str:
        return self.key.removesuffix("/")

    @property
    def is_dir(self) -> bool:
        return self.key.endswith("/")


def level(bucket: Bucket, directory: ArtifactPath, after: str) -> Iterator[Entry]:
    """The entries in `directory` whose names sort after `after`, sorted by name."""
    foreign = ForeignNames(directory)
    for child in _Level(bucket, directory).by_name(after):
        path = foreign.judge(child.name) if child.name > after else None
        if path is not None:
            yield Entry(path, is_dir=True) if child.is_dir else listed_entry(path, child.found)
    foreign.warn()


def walk(bucket: Bucket, directory: ArtifactPath, after: str) -> Iterator[Entry]:
    """The artifacts below `directory` whose paths relative to it sort after `after`, sorted by path.

    Level by level, because what is below a directory is not in this order everywhere.
    """
    foreign = ForeignNames(directory)
    for child in _Level(bucket, directory).by_key(after):
        begun = child.is_dir and after.startswith(child.key)
        path = foreign.judge(child.name) if begun or child.key > after else None
        if path is None:
            continue
        if child.is_dir:
            yield from walk(bucket, path, after.removeprefix(child.key) if begun else "")
        else:
            yield listed_entry(path, child.found)
    foreign.warn()


_Waiting: TypeAlias = tuple[str, str, int, _Child]


class _Level:
    def __init__(self, bucket: Bucket, directory: ArtifactPath) -> None:
        self._bucket = bucket
        self._prefix = bucket.root.below(directory)
        self._count = count()
        """For what is listed twice, which is given in the order in which it came."""
        self._known: set[str] = set()
        """Names of directories of which nothing more needs to be learned."""

    def by_name(self, after: str) -> Iterator[_Child]:
        """Children sorted by name; surely those after `after`.

        `a-b` waits for the directory `a`, which may come late. Where that lasts for more than a
        page, the store is asked for it, so that not all of a large directory has to wait.
        """
        waiting: list[_Waiting] = []
        for page in self._pages(after):
            first = waiting[:1]
            for child in page:
                if child.is_dir:
                    self._known.add(child.name)
                heappush(waiting, (child.name, child.key, next(self._count), child))
                yield from self._ready(waiting, child.key, after)
            if page and first and first == waiting[:1]:
                name = next(self._earlier_directories(first[0][0], after), None)
                if name is not None and self._ask(name):
                    heappush(waiting, (name, name + "/", next(self._count), _Child(name + "/")))
                yield from self._ready(waiting, page[-1].key, after)
        while waiting:
            yield heappop(waiting)[-1]

    def _ready(self, waiting: list[_Waiting], listed: str, after: str) -> Iterator[_Child]:
        while waiting and not self._must_wait(waiting[0][0], listed, after):
            yield heappop(waiting)[-1]

    def _must_wait(self, name: str, listed: str, after: str) -> bool:
        """Whether a directory that belongs between `after` and `name` may come behind the key `listed`."""
        return any(directory + "/" >= listed for directory in self._earlier_directories(name, after))

    def by_key(self, after: str) -> Iterator[_Child]:
        """Children sorted by key; surely those after `after` and the directory that holds it.

        The directory `a` waits for `a-b`, which may come late.
        """
        begun = after.partition("/")[0]
        waiting = [
            (name + "/", next(self._count), _Child(name + "/"))
            for name in _earlier_directories(begun)
            if self._ask(name)
        ]
        heapify(waiting)
        for page in self._pages(begun[:-1]):
            for child in page:
                heappush(waiting, (child.key, next(self._count), child))
                while waiting and (not waiting[0][-1].is_dir or waiting[0][0] < child.name):
                    yield heappop(waiting)[-1]
        while waiting:
            yield heappop(waiting)[-1]

    def _pages(self, after: str) -> Iterator[list[_Child]]:
        """Pages as the store gives them, each sorted by key."""
        for page in self._bucket.pages(self._prefix, delimiter="/", after=after):
            directories = [
                _Child(found["Prefix"][len(self._prefix) :]) for found in page.get("CommonPrefixes", ())
            ]
            artifacts = [
                _Child(found["Key"][len(self._prefix) :], found) for found in page.get("Contents", ())
            ]
            yield sorted(
                # A key that ends with a slash stands for a directory, here for the listed one itself.
                [child for child in directories if child.name not in self._known]
                + [child for child in artifacts if not child.is_dir and child.key],
                key=lambda child: child.key,
            )

    def _earlier_directories(self, name: str, after: str) -> Iterator[str]:
        """Those that are wanted, and that nothing is known of yet."""
        return (
            earlier
            for earlier in _earlier_directories(name)
            if earlier > after and earlier not in self._known
        )

    def _ask(self, name: str) -> bool:
        """Whether there is such a directory. From now on the listing leaves it out."""
        self._known.add(name)
        return bool(self._bucket.first(f"{self._prefix}{name}/", 1))


def _earlier_directories(name: str) -> Iterator[str]:
    """Names that sort before `name`, but behind it with a slash at their end."""
    return (name[:end] for end in range(1, len(name)) if name[end] < "/")
