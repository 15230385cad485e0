"""What docker-compose.yml means, as the engine's own client reads it; that needs no engine."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.dockerfile import ROOT

MINIO = ("docker-compose.yml",)
SEAWEEDFS = ("docker-compose.yml", "docker-compose.seaweedfs.yml")
_CHECKOUT = (*SEAWEEDFS, "Dockerfile", "config")


@functools.cache
def project(
    files: tuple[str, ...], profiles: tuple[str, ...] = (), variables: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """The services, volumes and networks, with all variables filled in; only `variables` are set.

    They are those of a fresh checkout: settings that somebody has put into this one count for nothing.
    """
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for entry in _CHECKOUT:
            if (ROOT / entry).is_dir():
                own_settings = shutil.ignore_patterns("artifact-proxy.env")
                shutil.copytree(ROOT / entry, directory / entry, ignore=own_settings)
            else:
                shutil.copy(ROOT / entry, directory)
        compose = directory / "config" / "compose"
        shutil.copy(ROOT / "config" / "compose" / "artifact-proxy.env", compose)
        command = [str(Path(sys.executable).with_name("docker-compose"))]
        for file in files:
            command += ["-f", file]
        for profile in profiles:
            command += ["--profile", profile]
        read = subprocess.run(
            [*command, "config", "--format", "json"],
            cwd=directory,
            env={"HOME": name, "PATH": "/usr/bin:/bin", **dict(variables)},
            capture_output=True,
            text=True,
        )
        assert read.returncode == 0, read.stderr
        assert read.stderr == "", "a variable is not set, or something is obsolete"
        result: dict[str, Any] = json.loads(read.stdout.replace(name, str(ROOT)))
        return result


def services(
    files: tuple[str, ...] = MINIO, profiles: tuple[str, ...] = ("mlflow",), **variables: str
) -> dict[str, dict[str, Any]]:
    """All services by name, with `variables` set."""
    found: dict[str, dict[str, Any]] = project(files, profiles, tuple(sorted(variables.items())))["services"]
    return found


def mounted(service: dict[str, Any], path: str) -> Path | None:
    """What a path inside of the container is in this checkout, if it is there at all."""
    for mount in service.get("volumes", []):
        inside = Path(path)
        if mount["type"] == "bind" and inside.is_relative_to(mount["target"]):
            return Path(mount["source"]) / inside.relative_to(mount["target"])
    return None
