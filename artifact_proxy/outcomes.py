"""What became of many transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from artifact_proxy.entries import Entry
from artifact_proxy.errors import ArtifactError, Interrupted


class Outcome(NamedTuple):
    """What became of one of many transfers."""

    source: str
    target: str
    entry: Entry | None
    error: ArtifactError | None


def outcome_of(source: str, target: str, transfer: Callable[[], Entry]) -> Outcome:
    try:
        return Outcome(source, target, transfer(), None)
    except Interrupted:
        raise
    except ArtifactError as error:
        return Outcome(source, target, None, error)


def entries_of(outcomes: Iterator[Outcome]) -> list[Entry]:
    """Of all of them. Raises the first error."""
    entries = []
    for outcome in outcomes:
        if outcome.entry is None:
            assert outcome.error is not None
            raise outcome.error
        entries.append(outcome.entry)
    return entries
