"""Who may do what. Every route asks here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request

from app.api.fetch_metadata import refuse_as_code
from app.api.visit import visit_of
from app.errors import NotPermitted
from app.identity.permissions import Action, Permissions
from app.paths import ArtifactPath
from app.storage.entry import Entry


class Access:
    def __init__(self, *, read_only: bool, no_delete: bool) -> None:
        self._forbidden: dict[Action, str] = {}
        if no_delete:
            self._forbidden[Action.DELETE] = "--no-delete"
        if read_only:
            self._forbidden |= {Action.WRITE: "--read-only", Action.DELETE: "--read-only"}

    def require(self, request: Request, action: Action, path: ArtifactPath) -> None:
        """Raises `NotPermitted` unless the caller may do `action` at `path`.

        Deleting takes the permission for all that could be below the path, whether it is there or not.
        """
        permissions = self._decide(request, action, path)
        permitted = (
            permissions.permit_all_below(action, path)
            if action is Action.DELETE
            else permissions.permit(action, path)
        )
        if not permitted:
            raise _refusal(action, path)

    def require_some(self, request: Request, action: Action, directory: ArtifactPath) -> None:
        """Raises `NotPermitted` unless the caller may do `action` somewhere at or below the directory."""
        permissions = self._decide(request, action, directory)
        if not (permissions.permit(action, directory) or permissions.lead_below(action, directory)):
            raise _refusal(action, directory)

    def require_listing(
        self, request: Request, directory: ArtifactPath, *, recursive: bool
    ) -> Callable[[Entry], bool] | None:
        """Which entries of the directory the caller may see; None for all.

        A directory in which the caller may list something shows as much of itself as leads there, but not
        all that is below it at once. Raises `NotPermitted` where there is nothing of that kind.
        """
        permissions = self._decide(request, Action.LIST, directory)
        if permissions.permit_all_below(Action.LIST, directory):
            return None
        if not permissions.permit(Action.LIST, directory) and (
            recursive or not permissions.lead_below(Action.LIST, directory)
        ):
            raise _refusal(Action.LIST, directory)

        def visible(entry: Entry) -> bool:
            return permissions.permit(Action.LIST, entry.path) or (
                entry.is_dir and permissions.lead_below(Action.LIST, entry.path)
            )

        return visible

    def actions(self, request: Request, entry: Entry) -> tuple[Action, ...]:
        """What the caller may do with an artifact, or with some of what is in a directory.

        A directory is deleted as a whole, and the root never.
        """
        permissions = _permissions(request)
        path = entry.path

        def permitted(action: Action) -> bool:
            if action in self._forbidden:
                return False
            if action is Action.DELETE:
                return not path.is_root and permissions.permit_all_below(action, path)
            if entry.is_dir:
                return permissions.permit(action, path) or permissions.lead_below(action, path)
            return action is not Action.LIST and permissions.permit(action, path)

        return tuple(filter(permitted, Action))

    def require_each(
        self, request: Request, action: Action, directory: ArtifactPath
    ) -> Callable[[ArtifactPath], None]:
        """`require` for artifacts below the directory that are named later, one after the other.

        Raises `NotPermitted` itself where the caller may do `action` nowhere there.
        """
        self.require_some(request, action, directory)
        permissions = _permissions(request)

        def require(path: ArtifactPath) -> None:
            if not permissions.permit(action, path):
                raise _refusal(action, path)

        return require

    def require_folder(self, request: Request, directory: ArtifactPath) -> Callable[[Entry], bool]:
        """Which artifacts below the directory, at any depth, the caller may both see and read.

        Raises `NotPermitted` where the caller may not list them, or read nothing there.
        """
        visible = self.require_listing(request, directory, recursive=True)
        self.require_some(request, Action.READ, directory)
        permissions = _permissions(request)

        def readable(entry: Entry) -> bool:
            return (visible is None or visible(entry)) and permissions.permit(Action.READ, entry.path)

        return readable

    def _decide(self, request: Request, action: Action, path: ArtifactPath) -> Permissions:
        visit = visit_of(request)
        visit.action, visit.path = action, path
        refuse_as_code(request.headers)
        flag = self._forbidden.get(action)
        if flag is not None:
            raise NotPermitted(
                f"This server runs with {flag}, so it refuses to {action.value} {str(path)!r}."
            )
        return _permissions(request)


def _permissions(request: Request) -> Permissions:
    identity = visit_of(request).identity
    assert identity is not None, "no request comes here past the authentication"
    return identity.permissions


def _refusal(action: Action, path: ArtifactPath) -> NotPermitted:
    place = "the artifact root" if path.is_root else repr(str(path))
    return NotPermitted(f"You may not {action.value} {place}; ask who runs this server for the permission.")
