"""What stands at many places at once: a page of a listing tells of hundreds of names, a look of one.

Where nothing stands in the way, a page says so. Whatever else it says is looked at by itself, so that the
same words are found for it. Stores list by key or by name (see `listing`); what is read here holds in both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import chain, takewhile
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

from app.paths import ArtifactPath
from app.storage.s3.bucket import Bucket
from app.storage.s3.entries import listed_entry
from app.storage.s3.places import Look, Places

_NAMES = 250
"""In a page: to read them takes about as long as the two requests of a look."""
_KEPT = 2_000
"""Names in the latest pages, which are kept; a page by itself takes as much memory as a few."""
_PAGE = 4
_SECONDS = 0.5
"""For so long a page is used: a look at its end still holds for a while (see `places`)."""
_LISTERS = 16


class _Page(NamedTuple):
    folder: ArtifactPath
    after: str
    """Of names up to this one it tells nothing."""
    artifacts: Mapping[str, Any]
    """By name, as ListObjectsV2 tells of them."""
    directories: frozenset[str]
    last: tuple[str, str] | None
    """The last name and the last key, which may be those of different entries; None if this is all."""
    taken: float

    @property
    def names(self) -> int:
        return _PAGE + len(self.artifacts) + len(self.directories)

    def tells_of(self, name: str) -> bool:
        if monotonic() - self.taken > _SECONDS or name <= self.after:
            return False
        # A directory `a` comes in the place of `a`, or in that of `a/`, behind `a-b`.
        return self.last is None or (name < self.last[0] and f"{name}/" < self.last[1])


class Survey:
    """Looks at places below one directory. May be used from any thread. Raises what botocore raises."""

    def __init__(self, bucket: Bucket, places: Places) -> None:
        self._bucket = bucket
        self._places = places
        self._top: tuple[str, ...] | None = None
        """The directory that all paths so far have in common."""
        self._pages: dict[ArtifactPath, tuple[_Page, ...]] = {}
        """Of each directory."""
        self._latest: deque[_Page] = deque()
        self._names = 0
        """In all pages."""
        self._large: set[ArtifactPath] = set()
        """Directories that do not fit into one page."""
        self._listing = [Lock() for _ in range(_LISTERS)]
        self._keeping = Lock()

    def include(self, path: ArtifactPath) -> None:
        """To be told of all paths that will be looked at, as early as possible; by one thread at a time."""
        directory = path.segments[:-1]
        if self._top is None:
            self._top = directory
        elif self._top != directory[: len(self._top)]:
            both = zip(self._top, directory, strict=False)
            self._top = tuple(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], both))

    def renewed(self) -> Survey:
        """One of the same directory that knows nothing yet."""
        survey = Survey(self._bucket, self._places)
        survey._top = self._top
        return survey

    def look(self, path: ArtifactPath) -> Look:
        """As `Places.look`. Raises `PathConflict`."""
        return self._seen(path) or self._places.look(path)

    def _seen(self, path: ArtifactPath) -> Look | None:
        """None where the pages do not tell, or do not tell that all is well."""
        assert self._top is not None
        if any("\\" in segment for segment in path.segments):
            return None  # SeaweedFS lists it as a slash
        taken = monotonic()
        # From above: where there is no directory, nothing is below it.
        for depth in range(len(self._top), len(path.segments)):
            folder, name = ArtifactPath(path.segments[:depth]), path.segments[depth]
            page = self._page(folder, name, path)
            if page is None:
                return None
            taken = min(taken, page.taken)
            is_last = depth == len(path.segments) - 1
            if name in (page.directories if is_last else page.artifacts):
                return None
            if name in page.artifacts:
                found = listed_entry(path, page.artifacts[name])
                return None if found.etag is None else Look(found, marker=False, taken=taken)
            if name not in page.directories:
                break
        return Look(None, marker=False, taken=taken)

    def _page(self, folder: ArtifactPath, name: str, path: ArtifactPath) -> _Page | None:
        """One that tells of the name, if that can be had."""
        page = self._kept(folder, name)
        if page is not None:
            return page
        listing = self._listing[hash(folder) % _LISTERS]
        alone = listing.acquire(blocking=False)
        if not alone:
            listing.acquire()  # somebody else is at it, and perhaps finds this out as well
        try:
            page = self._kept(folder, name)
            if alone and page is None:
                self._learn(folder, name, path)
                page = self._kept(folder, name)
            return page
        finally:
            listing.release()

    def _learn(self, folder: ArtifactPath, name: str, path: ArtifactPath) -> None:
        if folder.segments == self._top:
            self._places.require_directories(path, *path.parents[: len(self._top)])
        if folder not in self._large:
            self._list(folder, "")
        if folder in self._large and self._kept(folder, name) is None:
            self._list(folder, self._before(folder, name))

    def _kept(self, folder: ArtifactPath, name: str) -> _Page | None:
        return next((page for page in reversed(self._pages.get(folder, ())) if page.tells_of(name)), None)

    def _before(self, folder: ArtifactPath, name: str) -> str:
        """What is not far before the name, in any order: behind that a page begins which tells of it."""
        known = chain.from_iterable(page.artifacts for page in self._pages.get(folder, ()))
        return max(name[:-1], *(other for other in known if other < name), "")

    def _list(self, folder: ArtifactPath, after: str) -> None:
        taken = monotonic()
        prefix = self._bucket.root.below(folder)
        answer = next(self._bucket.pages(prefix, delimiter="/", after=after, limit=_NAMES))
        contents = ((found["Key"][len(prefix) :], found) for found in answer.get("Contents", ()))
        # A key that ends with a slash stands for a directory, here for the listed one itself.
        artifacts = {name: found for name, found in contents if name and not name.endswith("/")}
        keys = {found["Prefix"][len(prefix) :] for found in answer.get("CommonPrefixes", ())}
        directories = frozenset(key.removesuffix("/") for key in keys)
        last = None
        if answer["IsTruncated"]:
            self._large.add(folder)
            last = max(artifacts.keys() | directories, default=""), max(artifacts.keys() | keys, default="")
        self._keep(_Page(folder, after, artifacts, directories, last, taken))

    def _keep(self, page: _Page) -> None:
        with self._keeping:
            self._latest.append(page)
            self._pages[page.folder] = (*self._pages.get(page.folder, ()), page)
            self._names += page.names
            while self._names > _KEPT:
                oldest = self._latest.popleft()
                _, *others = self._pages.pop(oldest.folder)
                if others:
                    self._pages[oldest.folder] = tuple(others)
                self._names -= oldest.names
