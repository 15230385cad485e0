"""Where programs are that tests start."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def installed(name: str) -> str:
    """The path of a program that comes with the development dependencies."""
    path = Path(sys.executable).with_name(name)
    assert path.exists(), f"{name} is not installed; it is among the development dependencies"
    return str(path)


def on_path(name: str) -> str | None:
    """The path of a program of the system, also of those that Debian has only on root's PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
