"""What stands at a path and around it: S3 itself knows neither directories nor conflicts with them.

A look asks the store whether a part of the path is an artifact, whether there is something below
it, and what stands at the path itself. Within this process commits that could exclude each other
take turns, and each judges a look that no other change has overtaken. Between processes S3 has
nothing that spans two keys: a file and a directory of one name can come about there when both are
stored within about a second. Nothing is lost then: both are listed, and both can be read.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock
from time import monotonic

from app.errors import PathConflict
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.s3.bucket import Bucket, is_marker
from app.storage.s3.entries import object_entry

_FRESH_SECONDS = 1.0
"""For so long a look holds by itself, as far as other processes are concerned."""
_PARENTS = 10_000


@dataclass(frozen=True, slots=True)
class Look:
    current: Entry | None
    """The artifact at the path."""
    marker: bool
    """Whether there is an empty object that stands for a directory of this name."""
    taken: float


class Places:
    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._turns = _Turns()
        self._lock = Lock()
        self._changes: OrderedDict[tuple[str, ...], float] = OrderedDict()
        self._parents: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def look(self, path: ArtifactPath) -> Look:
        """Raises `PathConflict` if no artifact may be stored at `path`."""
        taken = monotonic()
        self.require_directories(path, *path.parents)
        below = self._bucket.root.below(path)
        found = self._bucket.first(below, 2)
        marked = [is_marker(entry, below) for entry in found]
        if not all(marked):
            raise PathConflict(
                f"Cannot store {str(path)!r}: it is a directory that is not empty; "
                "delete that or choose another path."
            )
        return Look(self.current(path), any(marked), taken)

    def current(self, path: ArtifactPath) -> Entry | None:
        """The artifact at `path`, None if there is none."""
        answer = self._bucket.head(path)
        return None if answer is None else object_entry(path, answer, answer["ContentLength"])

    @contextmanager
    def turn(self, path: ArtifactPath, look: Look) -> Iterator[Look]:
        """The caller's turn to change `path`, with a look at it that holds until it ends."""
        with self._turns.take(path.segments):
            yield look if self._holds(path, look) else self.look(path)

    def changed(self, path: ArtifactPath) -> None:
        """To be told of every change, for looks and parents that it may have overtaken."""
        now = monotonic()
        with self._lock:
            self._parents.pop(path.segments, None)
            self._changes[path.segments] = now
            self._changes.move_to_end(path.segments)
            while self._changes and next(iter(self._changes.values())) < now - _FRESH_SECONDS:
                self._changes.popitem(last=False)

    def _holds(self, path: ArtifactPath, look: Look) -> bool:
        if monotonic() - look.taken > _FRESH_SECONDS:
            return False
        with self._lock:
            later = [segments for segments, when in self._changes.items() if when >= look.taken]
        return not any(_related(path.segments, segments) for segments in later)

    def require_directories(self, path: ArtifactPath, *parents: ArtifactPath) -> None:
        """Raises `PathConflict` if one of these parents of the path is an artifact."""
        for parent in parents:
            self._require_no_artifact(path, parent)

    def _require_no_artifact(self, path: ArtifactPath, parent: ArtifactPath) -> None:
        now = monotonic()
        with self._lock:
            if self._parents.get(parent.segments, 0.0) > now:
                return
        if self.current(parent) is not None:
            raise PathConflict(
                f"Cannot store {str(path)!r}: a parent of it is a file; delete that or choose another path."
            )
        with self._lock:
            overtaken = self._changes.get(parent.segments, 0.0) >= now
            if not overtaken:
                self._parents[parent.segments] = now + _FRESH_SECONDS
                self._parents.move_to_end(parent.segments)
                if len(self._parents) > _PARENTS:
                    self._parents.popitem(last=False)


def _related(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether they are the same path, or one lies below the other."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


class _Turns:
    """Lets no two hold paths at once of which one is the other or lies below it."""

    def __init__(self) -> None:
        self._free = Condition()
        self._held: set[tuple[str, ...]] = set()
        self._above: Counter[tuple[str, ...]] = Counter()

    @contextmanager
    def take(self, segments: tuple[str, ...]) -> Iterator[None]:
        above = [segments[:depth] for depth in range(1, len(segments))]
        with self._free:
            self._free.wait_for(lambda: self._is_free(segments, above))
            self._held.add(segments)
            self._above.update(above)
        try:
            yield
        finally:
            with self._free:
                self._held.remove(segments)
                self._above -= Counter(above)
                self._free.notify_all()

    def _is_free(self, segments: tuple[str, ...], above: list[tuple[str, ...]]) -> bool:
        return (
            segments not in self._held
            and not self._above[segments]
            and not any(parent in self._held for parent in above)
        )
