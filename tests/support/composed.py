"""The services of docker-compose.yml, run natively as the client of the engine reads them.

Each has the user, the rights, the read-only file system, the volumes and the paths that it has there.
What is different: the ports are free ones of this machine, and all names are its loopback address.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tests.support.compose import SEAWEEDFS, mounted, services
from tests.support.container import Container, Mount, Running
from tests.support.dockerfile import BASE_PATH, Image
from tests.support.mlflow_server import QUIET
from tests.support.nginx import newer_nginx
from tests.support.ports import free_ports
from tests.support.programs import installed

START_SECONDS = 90
SECRETS = ("store-secrets", "proxy-secrets", "access", "client-secrets", "mlflow-secrets")
"""The volumes."""
_HOST = "127.0.0.1"
_GRPC_OFFSET = 10_000  # what SeaweedFS adds to a port
_PROGRAMS = "/programs"
_VARIABLES = {"PATH": f"{_PROGRAMS}:{BASE_PATH}", "HOME": "/"}
_USERS = {"seaweedfs": "1000:1000", "artifact-proxy": "10001:10001", "mlflow": "0:0"}
"""Of the images whose user the services do not name."""


@dataclass
class Composed:
    """Without MinIO, which comes only as an image, and so needs a container engine."""

    image: Image
    directory: Path
    """Each volume is the directory of its name in there; whoever makes them decides on their owners."""
    files: tuple[str, ...] = SEAWEEDFS
    _ports: list[int] = field(default_factory=lambda: free_ports(9, twin=_GRPC_OFFSET))

    @property
    def store_url(self) -> str:
        return f"http://{_HOST}:{self._ports[0]}"

    @property
    def nginx_url(self) -> str:
        return f"http://{_HOST}:{self._ports[4]}"

    @property
    def tracking_url(self) -> str:
        return f"http://{_HOST}:{self._ports[5]}"

    @property
    def mlflow_url(self) -> str:
        """Of the tracking server itself, which has it for nginx alone."""
        return f"http://{_HOST}:{self._ports[6]}"

    def proxy_url(self, number: int) -> str:
        return f"http://{_HOST}:{self._ports[7 + number]}"

    def token(self, name: str) -> str:
        """The text of a token, such as client-secrets/admin."""
        return (self.directory / name).read_text().strip()

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """With what is different here; each difference must be found."""
        s3, master, filer, volume, nginx, tracking, mlflow, *proxies = self._ports
        text = json.dumps(services(self.files))
        servers = " ".join(f"server {_HOST}:{port};" for port in proxies)
        differences = {
            '"server artifact-proxy:5500 resolve;"': f'"{servers}"',
            '"NGINX_LISTEN": "8080"': f'"NGINX_LISTEN": "{_HOST}:{nginx}"',
            'FORWARDED_ALLOW_IPS": "': f'FORWARDED_ALLOW_IPS": "{_HOST},',
            f"http://{_HOST}:8080/": f"{self.nginx_url}/",
            "http://localhost:8080/": f"{self.nginx_url}/",
            f"http://{_HOST}:5010/": f"{self.mlflow_url}/",
            f'"--host={_HOST}", "--port=5010"': f'"--host={_HOST}", "--port={mlflow}"',
            '"TRACKING_LISTEN": "5000"': f'"TRACKING_LISTEN": "{_HOST}:{tracking}"',
            f'"{_HOST}:5010"': f'"{_HOST}:{mlflow}"',
        }
        binding = [
            *(f"-ip.bind={_HOST}", f"-master.port={master}", f"-filer.port={filer}"),
            f"-volume.port={volume}",
        ]
        of_the_store = {
            "http://store:9000": self.store_url,
            "-s3.port=9000": f"-s3.port={s3}",
            f"http://{_HOST}:9000/": f"{self.store_url}/",
            '"-ip=store"': f'"-ip={_HOST}"',
            '"-ip.bind=0.0.0.0"': ", ".join(f'"{flag}"' for flag in binding),
            '"store:9333"': f'"{_HOST}:{master}"',
            '"store:8888"': f'"{_HOST}:{filer}"',
        }
        if self.files == SEAWEEDFS:
            differences |= of_the_store
        for theirs, ours in differences.items():
            assert theirs in text, f"no service has {theirs} any more"
            text = text.replace(theirs, ours)
        found: dict[str, dict[str, Any]] = json.loads(text)
        return found

    def make_secrets(self) -> None:
        """Runs the service that makes them, as the first start does."""
        for volume in SECRETS:
            self.make_volume(volume, 0)
        done = self.run("secrets")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def make_volume(self, name: str, owner: int) -> Path:
        volume = self.directory / name
        volume.mkdir()
        os.chown(volume, owner, owner)
        return volume

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Runs a service to its end."""
        return self.container(name).run(*self.command(name))

    @contextmanager
    def running(self, name: str) -> Iterator[list[Running]]:
        """All replicas of the service; they are healthy inside the block."""
        replicas: int = self.services[name].get("deploy", {}).get("replicas", 1)
        with ExitStack() as stack:
            started = [
                stack.enter_context(self.container(name, number).running(*self.command(name)))
                for number in range(replicas)
            ]
            deadline = time.monotonic() + START_SECONDS
            for replica in started:
                while not self.healthy(name, replica):
                    assert replica.process.poll() is None, replica.log()
                    assert time.monotonic() < deadline, f"{name} does not become healthy:\n{replica.log()}"
                    time.sleep(0.2)
            yield started

    def healthy(self, name: str, replica: Running) -> bool:
        """What the health check of the service says."""
        if name == "artifact-proxy":
            return replica.run(*self.image.health_check).returncode == 0
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        if name == "mlflow":
            return replica.run(*command).returncode == 0
        *program, url = command
        assert program == ["wget", "-q", "-O", "/dev/null"]
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    def container(self, name: str, number: int = 0) -> Container:
        """Of the service, or of its replica of that number."""
        service = self.services[name]
        directory = self.directory / f"{name}-{number}"
        if name == "nginx":
            return nginx_container(service, directory, self.directory)
        variables: dict[str, str] = service.get("environment", {})
        mounts = _mounts(service, self.directory)
        image = _image(service)
        if image == "artifact-proxy":
            variables = self.image.variables | variables
            address = {"ARTIFACT_PROXY_HOST": "0.0.0.0", "ARTIFACT_PROXY_PORT": "5500"}  # noqa: S104 - in a container
            assert address.items() <= variables.items()
            variables |= {"ARTIFACT_PROXY_HOST": _HOST, "ARTIFACT_PROXY_PORT": str(self._ports[7 + number])}
            mounts.append(Mount(self.image.environment, str(self.image.environment)))
        elif image == "mlflow":
            # Four workers, its default, take four times as long to start.
            variables = QUIET | {"MLFLOW_WORKERS": "1", "PATH": f"{sys.prefix}/bin:{BASE_PATH}"} | variables
            mounts.append(Mount(Path(sys.prefix), sys.prefix))
        else:
            variables = _VARIABLES | variables
            mounts.append(Mount(Path(installed("weed")), f"{_PROGRAMS}/weed"))
        return Container(directory, _user(service), variables, mounts, service.get("tmpfs", []))

    def command(self, name: str) -> list[str]:
        service = self.services[name]
        entrypoint = service["entrypoint"] or (self.image.entrypoint if name == "artifact-proxy" else [])
        return [*entrypoint, *(service["command"] or [])]


def nginx_container(service: dict[str, Any], directory: Path, volumes: Path) -> Container:
    """Of nginx, with the configuration that its image makes of what the service sets, and of nothing else."""
    variables: dict[str, str] = service["environment"]
    mounts = [*_mounts(service, volumes), Mount(Path(newer_nginx()), f"{_PROGRAMS}/nginx")]
    for name in ("nginx.conf", "servers/tracking.conf"):
        template = mounted(service, f"/etc/nginx/templates/{name}.template")
        assert template
        file = directory / name
        file.parent.mkdir(parents=True)
        file.write_text(_filled_in(template.read_text(), variables))
        mounts.append(Mount(file, f"{variables['NGINX_ENVSUBST_OUTPUT_DIR']}/{name}"))
    return Container(directory, _user(service), _VARIABLES | variables, mounts, service["tmpfs"])


def _filled_in(template: str, variables: Mapping[str, str]) -> str:
    """As the image of nginx does it: a variable that is not set stays as it is."""
    known = " ".join(f"${{{name}}}" for name in variables)
    made = subprocess.run(
        ["envsubst", known], input=template, env=dict(variables), capture_output=True, text=True, check=True
    )
    return made.stdout


def _image(service: dict[str, Any]) -> str:
    """The name of the service's image alone."""
    return str(service["image"]).partition(":")[0].rpartition("/")[2]


def _user(service: dict[str, Any]) -> int:
    user, _, group = service.get("user", _USERS.get(_image(service), "")).partition(":")
    assert user == group
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    return int(user)


def _mounts(service: dict[str, Any], volumes: Path) -> list[Mount]:
    return [
        Mount(
            volumes / mount["source"] if mount["type"] == "volume" else Path(mount["source"]),
            mount["target"],
            writable=not mount.get("read_only", False),
        )
        for mount in service.get("volumes", [])
    ]
