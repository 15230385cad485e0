"""Where what `get` downloads goes to."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from artifact_proxy import Client, Entry
from artifact_proxy.command.exits import Failures
from artifact_proxy.command.patterns import Found
from artifact_proxy.errors import ArtifactIsDirectory, ArtifactNotFound
from artifact_proxy.folders import Folder, relative
from artifact_proxy.local import is_folder
from artifact_proxy.paths import joined


class Download(NamedTuple):
    client: Client
    path: str
    target: Path
    size: int | None


class Plan:
    """All goes into the folder `destination`, or to be what it names."""

    def __init__(self, destination: str, failures: Failures, *, several: bool) -> None:
        """`several`: there may be more than one thing to download."""
        self._place = Path(destination)
        self._failures = failures
        self._into = several or destination.endswith("/") or is_folder(self._place)
        self._folder = Folder(self._place)

    def of(self, found: Found, *, whole: bool) -> list[Download]:
        """What is to be downloaded of it: with all that is below it if `whole`.

        What stands in the way of some is a failure, and the others are there all the same.
        """
        downloads: list[Download] = []
        with self._failures.told():
            below = self._below(found) if whole else []
            if not below:
                downloads.append(self._single(found, whole=whole))
            for entry in below:
                with self._failures.told():
                    downloads.append(self._one_below(found, entry))
        return downloads

    def _below(self, found: Found) -> list[Entry]:
        if found.match is not None and not found.match.is_dir:
            return []
        return list(found.client.list(found.plain, recursive=True))

    def _one_below(self, found: Found, entry: Entry) -> Download:
        below = relative(entry.path, found.path)
        target = self._folder.target(joined(found.below, below) if self._into else below)
        return Download(found.client, entry.path, target, entry.size)

    def _single(self, found: Found, *, whole: bool) -> Download:
        entry = found.match or found.client.stat(found.plain)
        if entry.is_dir:
            if whole:
                raise ArtifactNotFound(f"There is nothing in {found.path!r}.")
            raise ArtifactIsDirectory(
                f"{found.path!r} is a directory; add --recursive for all that is below it."
            )
        target = self._folder.target(found.below) if self._into else self._place
        return Download(found.client, found.path, target, entry.size)
