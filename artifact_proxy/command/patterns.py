"""Patterns such as `runs/*/model.pkl` and `models/**`, which the listings of the server resolve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from artifact_proxy import Client, Entry
from artifact_proxy.command.wildcards import ANY_DEPTH, Segment, is_wild, matches, parsed
from artifact_proxy.errors import ArtifactNotFound, InvalidPath, NotPermitted
from artifact_proxy.folders import relative
from artifact_proxy.paths import joined
from artifact_proxy.uris import typed


class Found(NamedTuple):
    client: Client
    """Of the server that has it."""
    path: str
    match: Entry | None
    """What a pattern has found; None for what was named, where nobody has looked."""
    below: str
    """What is kept of the path where it is downloaded to a folder: from the first pattern on, or its name."""

    @property
    def plain(self) -> str:
        """The path for `client`, for which it is nothing else than that."""
        return f"/{self.path}"


def expanded(client: Client, text: str) -> list[Found]:
    """What a word of the command line names.

    It is a pattern if there is a wildcard where it was typed, and nothing with that very path. One that
    matches nothing stands for itself, as in a shell.
    """
    where, path = client.located(text)
    segments = parsed(typed(text))
    if any(map(is_wild, segments)) and not _is_there(where, path):
        found = [Found(where, entry.path, entry, below) for entry, below in _matches(where, path, segments)]
        if found:
            return found
    return [Found(where, path, None, path.rpartition("/")[2])]


def _is_there(client: Client, path: str) -> bool:
    try:
        client.stat(f"/{path}")
    except (ArtifactNotFound, InvalidPath, NotPermitted):
        return False  # who may list a directory need not be let to look here
    return True


def _matches(client: Client, path: str, segments: Sequence[Segment]) -> Iterator[tuple[Entry, str]]:
    """`path`: that of the word, in which `segments` are the last ones."""
    first = next(number for number, segment in enumerate(segments) if is_wild(segment))
    names = path.split("/")
    base = "/".join(names[: len(names) - len(segments) + first])
    for entry in _below(client, base, segments[first:]):
        yield entry, relative(entry.path, base)


def _below(client: Client, directory: str, segments: Sequence[Segment]) -> Iterator[Entry]:
    """What matches `segments` there, in the order of the listings."""
    first, rest = segments[0], segments[1:]
    if first is ANY_DEPTH:
        for entry in client.list(f"/{directory}", recursive=True):
            if matches(relative(entry.path, directory).split("/"), segments):
                yield entry
    elif isinstance(first, str):
        yield from _named(client, joined(directory, first), rest)
    else:
        for entry in client.list(f"/{directory}"):
            path = joined(directory, entry.name)
            if not matches([entry.name], [first]):
                continue
            if not rest:
                yield entry._replace(path=path)
            elif entry.is_dir:
                yield from _below(client, path, rest)


def _named(client: Client, path: str, rest: Sequence[Segment]) -> Iterator[Entry]:
    if rest:
        yield from _below(client, path, rest)
        return
    try:
        yield client.stat(f"/{path}")
    except ArtifactNotFound:
        return
