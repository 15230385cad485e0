"""Who may do what. Every route asks here, and nowhere else."""

from __future__ import annotations

from enum import Enum

from app.errors import NotPermitted
from app.paths import ArtifactPath


class Action(Enum):
    READ = "read"
    LIST = "list"
    WRITE = "write"
    DELETE = "delete"


class Access:
    def __init__(self, *, read_only: bool, no_delete: bool) -> None:
        self._forbidden: dict[Action, str] = {}
        if no_delete:
            self._forbidden[Action.DELETE] = "--no-delete"
        if read_only:
            self._forbidden |= {Action.WRITE: "--read-only", Action.DELETE: "--read-only"}

    def require(self, action: Action, path: ArtifactPath) -> None:
        """Raises `NotPermitted` unless `action` is allowed at `path`."""
        flag = self._forbidden.get(action)
        if flag is not None:
            raise NotPermitted(
                f"This server runs with {flag}, so it refuses to {action.value} {str(path)!r}."
            )
