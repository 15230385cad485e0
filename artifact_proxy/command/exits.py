"""The exit statuses, by which scripts know what has happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from artifact_proxy.command.output import tell
from artifact_proxy.errors import (
    ArtifactError,
    ArtifactIsDirectory,
    ArtifactNotFound,
    ConfigurationError,
    Conflict,
    DigestMismatch,
    InvalidPath,
    NotPermitted,
    Unavailable,
)

OK = 0
FAILED = 1
USAGE = 2
"""As argparse has it."""
INTERRUPTED = 130
CLOSED_OUTPUT = 141
"""As of a program that SIGPIPE has ended."""
TERMINATED = 143
"""As a shell tells of a program that SIGTERM has ended."""

_STATUSES: tuple[tuple[type[ArtifactError], int], ...] = (
    (ConfigurationError, USAGE),
    (InvalidPath, USAGE),
    (ArtifactNotFound, 3),
    (NotPermitted, 4),
    (ArtifactIsDirectory, 5),
    (Conflict, 5),
    (Unavailable, 6),
    (DigestMismatch, 7),
)


def status_of(error: ArtifactError) -> int:
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), FAILED)


class Failures:
    """What has failed among many things, of which the others are done all the same."""

    def __init__(self) -> None:
        self.status = OK
        """That of the first failure."""

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around one of them: its error is added."""
        try:
            yield
        except ArtifactError as error:
            self.add(error)

    def add(self, error: ArtifactError) -> None:
        tell(str(error))
        self.status = self.status or status_of(error)
