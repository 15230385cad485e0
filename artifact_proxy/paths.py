"""Paths of artifacts as people write them. The server judges them, but for what would not get there."""

from __future__ import annotations

from urllib.parse import quote

from artifact_proxy.errors import InvalidPath


def artifact_path(text: str) -> str:
    """The path without the slashes around it; empty for the root.

    Raises `InvalidPath` where a library on the way to the server would change the path.
    """
    path = text.strip("/")
    if path and any(segment in {"", ".", ".."} for segment in path.split("/")):
        raise InvalidPath(f"Invalid artifact path {text!r}: it has an empty segment, '.' or '..'.")
    require_unicode(path)
    return path


def require_unicode(path: str) -> None:
    """Raises `InvalidPath` for what came of bytes that are no UTF-8, or of half a character."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidPath(f"Invalid artifact path {path!r}: it is not valid Unicode.") from None


def quoted(path: str) -> str:
    """As it stands in a URL."""
    return quote(path)


def joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name
