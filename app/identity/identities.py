"""The identities of the access file, as it was last read."""

from __future__ import annotations

from pathlib import Path

from app.identity.access_file import load
from app.identity.authenticator import Authenticator
from app.identity.base import ANYBODY, Credentials, Identity
from app.identity.keys import FetchedKeys


class Identities:
    def __init__(self, file: str) -> None:
        """`file`: the access file; empty where nobody is asked. Raises `InvalidAccessFile`."""
        self._file = Path(file) if file else None
        self._fetched: dict[str, FetchedKeys] = {}
        self._current = self.read()

    @property
    def required(self) -> bool:
        """Whether callers must say who they are."""
        return self._file is not None

    @property
    def headers(self) -> frozenset[str]:
        """See `Authenticator.headers`."""
        return frozenset() if self._current is None else self._current.headers

    def read(self) -> Authenticator | None:
        """What the file says now, for `use`. Raises `InvalidAccessFile`."""
        return None if self._file is None else load(self._file, self._fetched)

    def use(self, authenticator: Authenticator | None) -> None:
        """Knows callers by `authenticator` from now on."""
        for keys in self._fetched.values():
            keys.expire()
        self._current = authenticator

    async def identify(self, credentials: Credentials) -> Identity:
        """See `Authenticator.identify`."""
        return ANYBODY if self._current is None else await self._current.identify(credentials)
