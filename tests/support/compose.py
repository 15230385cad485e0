"""What docker-compose.yml means, as the engine's own client reads it; that needs no engine."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.support.dockerfile import ROOT
from tests.support.programs import installed

MINIO = ("docker-compose.yml",)
SEAWEEDFS = ("docker-compose.yml", "docker-compose.seaweedfs.yml")
LOCAL = ("docker-compose.yml", "docker-compose.local.yml")
VARIANTS = {"minio": MINIO, "seaweedfs": SEAWEEDFS}
"""Those that have all services."""
FILES = tuple(dict.fromkeys((*SEAWEEDFS, *LOCAL)))


def check_out(directory: Path) -> None:
    """Copies what the compose files refer to, without the settings that somebody has put in here."""
    for name in (*FILES, "Dockerfile"):
        shutil.copy(ROOT / name, directory)
    own_settings = shutil.ignore_patterns("artifact-proxy.env")
    shutil.copytree(ROOT / "config", directory / "config", ignore=own_settings)
    shutil.copy(ROOT / "config" / "compose" / "artifact-proxy.env", directory / "config" / "compose")


def read(
    directory: Path,
    files: tuple[str, ...],
    profiles: tuple[str, ...] = (),
    variables: tuple[tuple[str, str], ...] = (),
) -> dict[str, Any]:
    """The services, volumes and networks of the checkout in `directory`; only `variables` are set."""
    command = [installed("docker-compose")]
    for file in files:
        command += ["-f", file]
    for profile in profiles:
        command += ["--profile", profile]
    made = subprocess.run(
        [*command, "config", "--format", "json"],
        cwd=directory,
        env={"HOME": str(directory), "PATH": "/usr/bin:/bin", **dict(variables)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == "", "a variable is not set, or something is obsolete"
    result: dict[str, Any] = json.loads(made.stdout.replace("$$", "$"))  # it is fit to be read again
    return result


@functools.cache
def project(
    files: tuple[str, ...], profiles: tuple[str, ...] = (), variables: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """What a fresh checkout in the place of this one has; see `read`."""
    with tempfile.TemporaryDirectory() as name:
        check_out(Path(name))
        found = json.dumps(read(Path(name), files, profiles, variables))
        result: dict[str, Any] = json.loads(found.replace(name, str(ROOT)))
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


def published(service: dict[str, Any]) -> set[tuple[str, str, int]]:
    """The ports of the service: address and port of this machine, and the port inside."""
    return {(port.get("host_ip", ""), port["published"], port["target"]) for port in service["ports"]}
