"""`ls`, `cat`, `rm`, `stat` and `url`: what is told of artifacts, and done with them where they are."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Any

from artifact_proxy import Client, Entry
from artifact_proxy.command import output
from artifact_proxy.command.exits import Failures
from artifact_proxy.command.patterns import Found, expanded
from artifact_proxy.folders import relative


def client_of(arguments: Namespace) -> Client:
    return Client(arguments.server, jobs=arguments.jobs, timeout=arguments.timeout, retries=arguments.retries)


def ls(arguments: Namespace) -> int:
    client, failures = client_of(arguments), Failures()

    def show(found: Found) -> None:
        # What a pattern has found is shown with its path.
        if found.match is not None and not (found.match.is_dir and arguments.recursive):
            _show(found.match, found.match.path, arguments)
            return
        empty = True
        for entry in found.client.list(found.plain, recursive=arguments.recursive):
            empty = False
            _show(entry, relative(entry.path, found.path if found.match is None else ""), arguments)
        if empty and found.path and not (entry := found.client.stat(found.plain)).is_dir:
            _show(entry, entry.path, arguments)

    _each(client, [arguments.path], show, failures)
    return failures.status


def cat(arguments: Namespace) -> int:
    client, failures = client_of(arguments), Failures()
    _each(client, arguments.paths, lambda found: written([found], failures), failures)
    return failures.status


def written(artifacts: Iterable[Found], failures: Failures) -> None:
    """Writes them to the standard output, one after the other."""
    for found in artifacts:
        with failures.told():
            for piece in found.client.stream(found.plain):
                output.write(piece)


def rm(arguments: Namespace) -> int:
    client, failures = client_of(arguments), Failures()

    def remove(found: Found) -> None:
        found.client.remove(found.plain, recursive=arguments.recursive, missing_ok=arguments.force)
        if arguments.json:
            output.json_line({"path": found.path}, at_once=True)

    _each(client, arguments.paths, remove, failures)
    return failures.status


def stat(arguments: Namespace) -> int:
    client, failures = client_of(arguments), Failures()

    def tell(found: Found) -> None:
        told = (found.match or found.client.stat(found.plain)).as_json()
        if arguments.digest and not told["is_dir"]:
            digest = found.client.digest(found.plain)
            told["sha256"] = None if digest is None else digest.hex()
        _tell(told, arguments)

    _each(client, arguments.paths, tell, failures)
    return failures.status


def url(arguments: Namespace) -> int:
    client, failures = client_of(arguments), Failures()

    def tell(found: Found) -> None:
        address = found.client.url(found.plain, presigned=arguments.presigned)
        if arguments.json:
            output.json_line({"path": found.path, "url": address})
        else:
            output.line(address)

    _each(client, arguments.paths, tell, failures)
    return failures.status


def _each(client: Client, words: Iterable[str], act: Callable[[Found], None], failures: Failures) -> None:
    """Does it with all that the words name, also if one of them fails."""
    for word in words:
        with failures.told():
            for found in expanded(client, word):
                with failures.told():
                    act(found)


def _show(entry: Entry, name: str, arguments: Namespace) -> None:
    if arguments.json:
        output.json_line(entry.as_json())
        return
    name = f"{name}/" if entry.is_dir else name
    if arguments.long:
        size = "-" if entry.size is None else str(entry.size)
        modified = "" if entry.modified is None else f"{entry.modified.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        name = f"{size:>14}  {modified:20}  {name}"
    output.line(name)


def _tell(told: dict[str, Any], arguments: Namespace) -> None:
    if arguments.json:
        output.json_line(told)
        return
    for name, value in told.items():
        if value not in (None, False):
            output.line(f"{name:8}  {'yes' if value is True else value}")
    output.line("")
