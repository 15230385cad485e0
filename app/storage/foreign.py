"""Names in the storage that no artifact may have: left out of listings, with one warning for each."""

from __future__ import annotations

import logging

from app.errors import InvalidPath
from app.paths import RESERVED_PREFIX, ArtifactPath

logger = logging.getLogger(__name__)


class ForeignNames:
    """Those met while one directory is listed."""

    def __init__(self, directory: ArtifactPath) -> None:
        self._directory = directory
        self._child = directory.children()
        self._count = 0
        self._example = ""

    def judge(self, name: str) -> ArtifactPath | None:
        """The path of the entry called `name`; None, remembering it, if it can be no artifact's."""
        try:
            return self._child(name)
        except InvalidPath:
            if not name.casefold().startswith(RESERVED_PREFIX):
                self._count += 1
                self._example = name
            return None

    def warn(self) -> None:
        if self._count:
            logger.warning(
                "Left %d names out of the listing of %a that no artifact may have, such as %a; "
                "rename them to make them visible.",
                self._count,
                str(self._directory),
                self._example,
            )
