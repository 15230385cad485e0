"""What a measurement was made with: the machine, the versions, and where the data lay."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from app import __version__
from tests.support.programs import installed, on_path

_PACKAGES = ("mlflow", "boto3", "fastapi", "starlette", "uvicorn", "uvloop", "httptools")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_HERE = Path(__file__).parent


def made_with() -> dict[str, str]:
    made = {"date": datetime.now(UTC).isoformat(" ", "minutes"), "commit": _commit()}
    return made | _versions() | _machine()


def file_system(directory: Path) -> str:
    """The kind of the one that `directory` is on, such as ext4."""
    found = subprocess.run(["df", "--output=fstype", directory], capture_output=True, text=True, check=True)
    return found.stdout.split()[-1]


def _machine() -> dict[str, str]:
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "C library": " ".join(platform.libc_ver()),
        "huge pages": _HUGE_PAGES.read_text().strip() if _HUGE_PAGES.exists() else "none",
    }


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in _PACKAGES}
    programs = {
        "nginx": _said([on_path("nginx") or "nginx", "-v"]),
        "SeaweedFS": _said([installed("weed"), "version"]),
    }
    return {"artifact-proxy": __version__, "Python": platform.python_version()} | packages | programs


def _said(command: list[str]) -> str:
    """The version in the first line that the program prints."""
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "none"
    found = re.search(r"\d+\.\d+(\.\d+)?(?=\s|$)", printed.stdout + printed.stderr)
    return found[0] if found else "unknown"


def _commit() -> str:
    """Of the checkout, with a + where it has been changed."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--dirty=+"],
            cwd=_HERE, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
