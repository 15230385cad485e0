"""Artifacts in a directory of this machine, or of a file system mounted on it (NFS is one).

Artifacts are plain files under their own names; whatever else reads the directory sees them whole.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Field

from app.paths import RESERVED_PREFIX
from app.storage.local.disk import Disk
from app.storage.local.storage import LocalStorage
from app.storage.local.tree import Tree

__all__ = ["LocalSettings", "LocalStorage", "open_storage"]


class LocalSettings(BaseModel):
    durability: Literal["full", "none"] = Field(
        "full",
        description="What an upload to a local root survives once it is acknowledged: 'full', a crash "
        "of the machine (file and directories are synced to disk); 'none', only a crash of the server, "
        "for more speed.",
    )
    disk_reserve: int = Field(
        64 * 1024**2,
        ge=0,
        description="Bytes of a local root's disk that uploads leave free; with less, /ready says no.",
    )


def open_storage(url: str, settings: LocalSettings, *, read_only: bool, prepare: bool = True) -> LocalStorage:
    """The root named by a plain path or a file: URL, resolved once, now.

    With `prepare`, a missing directory is created in an existing parent. Without, the root must
    have been prepared: a bare mount point in its place is refused. Raises `ValueError` with the
    remedy.
    """
    try:
        root = _root_path(url)
    except (OSError, RuntimeError) as error:  # an unknown user in ~user; a loop of links
        raise ValueError(f"it leads nowhere ({error}); name a directory") from None
    try:
        if prepare and not read_only:
            _make(root)
            _make(root / RESERVED_PREFIX)
        elif not read_only and not (root / RESERVED_PREFIX).is_dir():
            raise ValueError(
                f"the directory {str(root)!r} is not the root that it was when the server started; "
                "mount it again, or restart the server"
            )
        tree = Tree(root)
    except FileNotFoundError:
        missing = root if read_only else root.parent
        raise ValueError(f"the directory {str(missing)!r} does not exist; create or mount it first") from None
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{str(error.filename)!r} is not a directory; name one") from None
    except OSError as error:
        raise ValueError(
            f"the directory {str(root)!r} cannot be used: {error.strerror}; correct it, its owner or its mode"
        ) from None
    disk = Disk(tree, settings.disk_reserve)
    return LocalStorage(tree, disk, durable=settings.durability == "full", read_only=read_only)


def _make(directory: Path) -> None:
    """Makes the directory where it is missing, for good: what is in it must survive a crash.

    Another server that is started at the same time may be faster.
    """
    if not directory.is_dir():
        directory.mkdir(exist_ok=True)
        parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _root_path(url: str) -> Path:
    if not url.lower().startswith("file:"):
        return Path(url).expanduser().resolve()
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise ValueError("it names a host; write file:///path for a local directory")
    if parts.query or parts.fragment:
        raise ValueError("it has a query or fragment; encode '?' as %3F and '#' as %23")
    if not parts.path.startswith("/"):
        raise ValueError("it is not absolute; write file:///path, or a plain path if it is relative")
    return Path(unquote(parts.path, errors="strict")).resolve()
