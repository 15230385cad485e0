"""The entries of a directory, or of the tree below it, in order.

Links, special files, the server's own names and names that no artifact may have are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.foreign import ForeignNames
from app.storage.local.entries import EntryOf, entry_at
from app.storage.local.tree import Tree


class _Child(NamedTuple):
    sort_key: str
    """A directory's name with a slash, where order is that of the paths below it."""
    name: str
    is_dir: bool


def level(tree: Tree, directory: ArtifactPath, after: str, *, entry_of: EntryOf) -> Iterator[Entry]:
    """The entries in `directory` whose names sort after `after`, sorted by name."""
    with tree.directory(directory.segments) as descriptor:
        later = [child for child in _children(descriptor, slash="") if child.sort_key > after]
        for child, path in _legal(later, directory):
            if (entry := _entry(descriptor, path, child, entry_of)) is not None:
                yield entry


def walk(
    tree: Tree, directory: ArtifactPath, after: str, prefix: str = "", *, entry_of: EntryOf
) -> Iterator[Entry]:
    """The artifacts below `directory` whose relative paths sort after `after`, sorted by path.

    `prefix` is the path of `directory`, with a slash, from where the walk began.
    """
    with tree.directory(directory.segments) as descriptor:
        # A directory that sorts before `after` may still hold what sorts behind it.
        later = [
            child
            for child in _children(descriptor, slash="/")
            if (relative := prefix + child.sort_key) > after or (child.is_dir and after.startswith(relative))
        ]
        for child, path in _legal(later, directory):
            if not child.is_dir:
                if (entry := _entry(descriptor, path, child, entry_of)) is not None:
                    yield entry
            else:
                with suppress(FileNotFoundError, NotADirectoryError):  # removed or replaced meanwhile
                    yield from walk(tree, path, after, prefix + child.sort_key, entry_of=entry_of)


def _children(descriptor: int, *, slash: str) -> list[_Child]:
    found = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.append(_Child(entry.name + slash, entry.name, True))
            elif entry.is_file(follow_symlinks=False):
                found.append(_Child(entry.name, entry.name, False))
    found.sort()
    return found


def _legal(children: list[_Child], directory: ArtifactPath) -> Iterator[tuple[_Child, ArtifactPath]]:
    """Those of `children` that can be artifacts or directories of them, with their paths."""
    foreign = ForeignNames(directory)
    for child in children:
        path = foreign.judge(child.name)
        if path is not None:
            yield child, path
    foreign.warn()


def _entry(descriptor: int, path: ArtifactPath, child: _Child, entry_of: EntryOf) -> Entry | None:
    """The child's entry; None if it is gone by now."""
    if child.is_dir:
        return Entry(path, is_dir=True)
    try:
        return entry_at(descriptor, path, entry_of)
    except FileNotFoundError:
        return None
