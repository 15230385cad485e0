"""How transfers in threads learn that they shall end."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Event

from artifact_proxy.errors import Interrupted

STOP: ContextVar[Event] = ContextVar("stop", default=Event())  # noqa: B039 - which nobody ever sets
"""Set when the transfers of this context shall end."""


def check() -> None:
    """Raises `Interrupted` once the transfers shall end; called with every piece of a transfer."""
    if STOP.get().is_set():
        raise Interrupted("The transfer was stopped.")


def sleep(seconds: float) -> None:
    """Raises `Interrupted` as soon as the transfers shall end."""
    STOP.get().wait(seconds)
    check()
