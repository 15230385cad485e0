"""What a measurement was made with: the machine and the versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from app import __version__

_PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "fastapi")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def machine() -> dict[str, str]:
    return {
        "processor": f"{os.cpu_count()} x {_field('/proc/cpuinfo', 'model name')}",
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "C library": " ".join(platform.libc_ver()),
        "huge pages": _HUGE_PAGES.read_text().strip() if _HUGE_PAGES.exists() else "none",
    }


def versions() -> dict[str, str]:
    packages = {name: version(name) for name in _PACKAGES}
    return {"artifact-proxy": __version__, "Python": platform.python_version()} | packages


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
