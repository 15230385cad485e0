"""The commands of clients, done in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from artifact_proxy.command import main


@dataclass(frozen=True)
class Ended:
    """What a command has left."""

    status: int
    out: str
    err: str


DONE = Ended(0, "", "")
"""Without a word."""

Run: TypeAlias = Callable[..., Ended]
"""Takes the words after `artifact-proxy`."""


def ended(capfd: pytest.CaptureFixture[str], *words: Any) -> Ended:
    """What comes of the words after `artifact-proxy`."""
    capfd.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as refused:
        status = int(str(refused.code))
    return Ended(status, *capfd.readouterr())
