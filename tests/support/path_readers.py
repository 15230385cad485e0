"""Every way in which a text becomes a path."""

from __future__ import annotations

from collections.abc import Callable

from app.paths import ArtifactPath

Reader = Callable[[str], ArtifactPath]

ROOT = ArtifactPath()
FROM_URL: dict[str, Reader] = {
    "from_url": ArtifactPath.from_url,
    "directory_from_url": ArtifactPath.directory_from_url,
}
FROM_TEXT: dict[str, Reader] = {
    "parse": ArtifactPath.parse,
    "parse_directory": ArtifactPath.parse_directory,
}
CHILD: dict[str, Reader] = {"child of the root": ROOT.__truediv__}
DEEPER_CHILD: dict[str, Reader] = {"child of a directory": ArtifactPath.parse("some/directory").__truediv__}
