"""Many transfers with one server, at once; each has its own outcome."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from artifact_proxy.connection import Connection
from artifact_proxy.downloads import fetch
from artifact_proxy.outcomes import Outcome, outcome_of
from artifact_proxy.parallel import each
from artifact_proxy.parts import Leftovers
from artifact_proxy.paths import artifact_path
from artifact_proxy.progress import EachProgress
from artifact_proxy.sources import LocalPath
from artifact_proxy.uploads import put


def put_each(
    connection: Connection,
    pairs: Iterable[tuple[LocalPath, str]],
    jobs: int,
    *,
    create_only: bool,
    progress: EachProgress,
) -> Iterator[Outcome]:
    """Uploads each file to the path beside it."""

    def work(pair: tuple[LocalPath, str]) -> Outcome:
        source, path = os.fspath(pair[0]), pair[1]
        moved = partial(progress, source)
        return outcome_of(
            source,
            path,
            lambda: put(connection, source, artifact_path(path), create_only=create_only, progress=moved),
        )

    return each(work, pairs, jobs)


def get_each(
    connection: Connection,
    pairs: Iterable[tuple[str, LocalPath]],
    jobs: int,
    *,
    verify: bool | None,
    progress: EachProgress,
) -> Iterator[Outcome]:
    """Downloads each artifact to the file beside it."""
    leftovers = Leftovers()

    def work(pair: tuple[str, LocalPath]) -> Outcome:
        path, target = pair[0], os.fspath(pair[1])
        transfer = partial(fetch, verify=verify, leftovers=leftovers, progress=partial(progress, path))
        return outcome_of(path, target, lambda: transfer(connection, artifact_path(path), Path(target)))

    return each(work, pairs, jobs)
