"""`put` and `get`: which file goes where, then all of them at once."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from artifact_proxy import Client, Outcome
from artifact_proxy.command import output
from artifact_proxy.command.artifacts import client_of, written
from artifact_proxy.command.downloads import Download, Plan
from artifact_proxy.command.exits import Failures
from artifact_proxy.command.patterns import Found, expanded
from artifact_proxy.command.progress import Progress
from artifact_proxy.errors import ConfigurationError
from artifact_proxy.folders import Failed, files_of
from artifact_proxy.paths import joined

STANDARD = "-"
_INPUT = 0


def put(arguments: Namespace) -> int:
    client, path = client_of(arguments).located(arguments.destination)
    into = arguments.destination.endswith("/") or not path or len(arguments.sources) > 1
    if STANDARD in arguments.sources:
        if into:
            raise ConfigurationError(
                "What comes from the standard input has no name; name one artifact for it, and nothing else."
            )
        _put_input(client, path, arguments)
        return 0
    failures = Failures()
    pairs: list[tuple[str, str]] = []
    for source in arguments.sources:
        pairs += _uploads(source, path, into=into, failed=failures.add)
    _require_distinct((target, source) for source, target in pairs)
    with Progress({source: _size_of(source) for source, _ in pairs}, quiet=arguments.quiet) as progress:
        outcomes = client.put_many(pairs, create_only=arguments.create_only, progress=progress.moved)
        _settle(outcomes, arguments, failures, lambda outcome: {"source": outcome.source})
    return failures.status


def _put_input(client: Client, path: str, arguments: Namespace) -> None:
    with open(_INPUT, "rb", closefd=False) as source, Progress({path: None}, quiet=arguments.quiet) as bar:
        entry = client.put(
            source,
            f"/{path}",
            create_only=arguments.create_only,
            progress=lambda count: bar.moved(path, count),
        )
    if arguments.json:
        output.json_line({"source": STANDARD} | entry.as_json(), at_once=True)


def _uploads(source: str, path: str, *, into: bool, failed: Failed) -> Iterator[tuple[str, str]]:
    name = os.path.basename(source.rstrip("/"))
    own = joined(path, name) if into and name not in {"", ".", ".."} else path
    if not os.path.isdir(source):
        yield source, own
        return
    for file, target in files_of(Path(source), own, failed):
        yield str(file), target


def _size_of(source: str) -> int | None:
    try:
        return os.stat(source).st_size
    except OSError:
        return None  # which is said where it is opened


def get(arguments: Namespace) -> int:
    sources, destination = arguments.paths[:-1], arguments.paths[-1]
    if not sources:
        sources, destination = [destination], "."
    failures = Failures()
    named = _named(client_of(arguments), sources, failures)
    if destination == STANDARD:
        written((found for found, _ in named), failures)
        return failures.status
    several = len(sources) > 1 or any(found.match is not None for found, _ in named)
    plan = Plan(destination, failures, several=several)
    downloads: list[Download] = []
    for found, source in named:
        downloads += plan.of(found, whole=arguments.recursive or source.endswith("/"))
    _require_distinct((str(download.target), download.path) for download in downloads)
    sizes = {download.path: download.size for download in downloads}
    with Progress(sizes, quiet=arguments.quiet) as progress:
        for where in dict.fromkeys(download.client for download in downloads):
            pairs = [(each.path, each.target) for each in downloads if each.client is where]
            outcomes = where.get_many(pairs, verify=arguments.verify, progress=progress.moved)
            _settle(outcomes, arguments, failures, lambda outcome: {"target": outcome.target})
    return failures.status


def _named(client: Client, sources: Iterable[str], failures: Failures) -> list[tuple[Found, str]]:
    """What the words name, each with its word."""
    named: list[tuple[Found, str]] = []
    for source in sources:
        with failures.told():
            named += [(found, source) for found in expanded(client, source)]
    return named


def _require_distinct(targets: Iterable[tuple[str, str]]) -> None:
    """Raises `ConfigurationError` where two sources would be written to one target."""
    taken: dict[str, str] = {}
    for target, source in targets:
        if target in taken:
            raise ConfigurationError(f"{taken[target]!r} and {source!r} would both become {target!r}.")
        taken[target] = source


def _settle(
    outcomes: Iterator[Outcome],
    arguments: Namespace,
    failures: Failures,
    described: Callable[[Outcome], dict[str, Any]],
) -> None:
    for outcome in outcomes:
        if outcome.error is not None:
            failures.add(outcome.error)
        elif arguments.json:
            assert outcome.entry is not None
            output.json_line(described(outcome) | outcome.entry.as_json(), at_once=True)
