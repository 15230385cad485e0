"""The image, built by the Dockerfile's own steps in an empty directory, and run as a container would.

There is no container engine in it: the steps run natively, and so does the server, in name spaces that
have the image's file system read-only, its user, and no right that a user does not have.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from app import __version__
from tests.support import raw
from tests.support.access import bearer
from tests.support.answers import told
from tests.support.container import Container, Mount, Running
from tests.support.dockerfile import ROOT, Image
from tests.support.ports import free_ports
from tests.support.waiting import wait_until

USER = 10001
VOLUMES = {"/etc/artifact-proxy": "access", "/srv/artifacts": "volume"}


class TestEnvironment:
    def test_has_the_server_and_what_its_lock_names_and_nothing_else(self, image: Image) -> None:
        named = re.sub(r"\\\n", " ", (ROOT / "requirements.lock").read_text()).splitlines()
        requirements = [Requirement(line.partition("--hash")[0]) for line in named if line.strip()]
        wanted = {wanted.name for wanted in requirements if wanted.marker is None or wanted.marker.evaluate()}
        installed = {_name(place) for place in image.environment.rglob("*.dist-info")}
        assert installed == wanted | {"artifact-proxy"}
        assert "boto3" in installed
        assert installed.isdisjoint({"pip", "setuptools", "hatchling", "editables"})

    def test_has_bytecode_for_all_its_code_and_no_sources_of_extensions(self, image: Image) -> None:
        # cffi brings headers of its own along, for those who compile.
        places = [file for file in image.environment.rglob("*") if file.is_file()]
        files = [file for file in places if not (file.suffix == ".h" and file.parent.name == "cffi")]
        assert [file for file in files if file.suffix in {".c", ".cpp", ".h", ".o", ".pth", ".whl"}] == []
        code = {file.parent / file.stem for file in files if file.suffix == ".py"}
        compiled = {file.parent.parent / file.name.split(".")[0] for file in files if file.suffix == ".pyc"}
        assert code - compiled == set()

    def test_starts_the_server_from_itself_alone(self, image: Image) -> None:
        made = subprocess.run(
            [image.environment / "bin" / "artifact-proxy", "--version"],
            cwd="/",
            env=image.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        assert made.stdout == f"artifact-proxy {__version__}\n"
        found = subprocess.run(
            [
                image.environment / "bin" / "python",
                "-c",
                "import app, artifact_proxy; print(app.__file__); print(artifact_proxy.__file__)",
            ],
            cwd="/",
            env=image.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        places = [Path(line) for line in found.stdout.splitlines()]
        assert [place.parent.name for place in places] == ["app", "artifact_proxy"]
        assert all(place.is_relative_to(image.environment) for place in places)


@dataclass
class Serving:
    container: Running
    url: str
    volume: Path
    token: str


@contextmanager
def _serving(image: Image, directory: Path, workers: int = 1) -> Iterator[Serving]:
    (port,) = free_ports(1)
    container = _container(
        image, directory, ARTIFACT_PROXY_PORT=str(port), ARTIFACT_PROXY_WORKERS=str(workers)
    )
    if workers > 1:  # they count together in what every engine gives to a container
        container = replace(container, memory=["/dev/shm"])  # noqa: S108 - in the container
    made = container.run(*image.entrypoint, *_token_command(image))
    assert (made.returncode, made.stderr) == (0, "")

    def started() -> bool:
        assert running.process.poll() is None, running.log()
        return running.log().count("startup complete") == workers

    with container.running(*image.entrypoint) as running:
        wait_until(started, "the server in its container")
        yield Serving(running, f"http://127.0.0.1:{port}", directory / "volume", made.stdout.strip())


@pytest.fixture(scope="module")
def serving(
    need_containers: None, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    with _serving(image, tmp_path_factory.mktemp("container")) as started:
        yield started


class TestContainer:
    def test_is_healthy(self, serving: Serving, image: Image) -> None:
        healthy = serving.container.run(*image.health_check)
        assert (healthy.returncode, healthy.stdout, healthy.stderr) == (0, "", "")

    def test_takes_and_gives_artifacts(self, serving: Serving, client: httpx.Client) -> None:
        data = os.urandom(3_000_000)
        url = f"{serving.url}/v1/artifacts/models/a.bin"
        own = bearer(serving.token)
        assert client.put(url, content=data, headers=own).status_code == 201
        assert client.get(url, headers=own).content == data
        kept = serving.volume / "models" / "a.bin"
        assert (kept.read_bytes(), kept.stat().st_uid) == (data, USER)

    def test_lets_nobody_in_without_the_token(self, serving: Serving, client: httpx.Client) -> None:
        for headers in ({}, bearer("apx_of-somebody-else")):
            assert told(client.get(f"{serving.url}/v1/artifacts/", headers=headers)) == (
                401,
                "UNAUTHENTICATED",
            )

    def test_has_the_server_as_its_first_process_and_no_right_left(self, serving: Serving) -> None:
        status = serving.container.status()
        assert status["NSpid"].split()[-1] == "1"
        assert status["Name"] == "artifact-proxy"
        assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
        assert status["Groups"] == ""
        assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {0}
        assert status["NoNewPrivs"] == "1"

    def test_writes_nowhere_but_in_its_root(self, serving: Serving, image: Image) -> None:
        assert sorted(serving.container.writable()) == [image.placed(place) for place in VOLUMES]
        tried = serving.container.run(
            "sh", "-c", "for place in / /tmp /var/tmp /dev/shm; do : >$place/x; done"
        )
        assert tried.returncode != 0
        assert {entry.name for entry in serving.volume.iterdir()} <= {".artifact-proxy", "models"}
        assert not re.search(r"error|warning|read-only", serving.container.log(), re.IGNORECASE)


@pytest.mark.usefixtures("need_containers")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_transfer_under_way_is_finished_before_the_container_stops(
    image: Image, tmp_path: Path, workers: int
) -> None:
    half = os.urandom(1_000_000)
    with _serving(image, tmp_path, workers) as served, raw.connection(served.url) as upload:
        length, own = f"Content-Length: {2 * len(half)}", f"Authorization: Bearer {served.token}"
        head = raw.head("PUT", "/v1/artifacts/slow.bin", length, own)
        upload.sendall(head + half)
        staging = served.volume / ".artifact-proxy" / "staging"
        wait_until(lambda: any(staging.glob("*")), "the upload")
        served.container.terminate()
        wait_until(lambda: "Shutting down" in served.container.log(), "the shutdown")
        assert served.container.process.poll() is None
        upload.sendall(half)
        assert raw.read_answer(upload).status == 201
        assert served.container.process.wait(10) == 0
        assert (served.volume / "slow.bin").read_bytes() == half + half
        assert served.container.container.run(*image.health_check).returncode == 1
    assert list(staging.glob("*")) == []


@pytest.mark.usefixtures("need_containers")
def test_the_health_check_fails_and_says_so_where_nothing_listens(image: Image, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    container = _container(image, tmp_path, ARTIFACT_PROXY_PORT=str(port))
    failed = container.run(*image.health_check)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"artifact-proxy at 0.0.0.0 port {port} does not answer: " in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.usefixtures("need_containers")
def test_the_container_does_not_start_as_long_as_nobody_is_known(image: Image, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    for file, says in {"": "--insecure-no-auth", "/etc/artifact-proxy/access.toml": "access.toml"}.items():
        directory = tmp_path / (says.strip("-") or "none")
        directory.mkdir()
        container = _container(
            image, directory, ARTIFACT_PROXY_PORT=str(port), ARTIFACT_PROXY_ACCESS_FILE=image.placed(file)
        )
        refused = container.run(*image.entrypoint)
        assert refused.returncode == 2
        assert says in refused.stderr


@pytest.mark.usefixtures("need_containers")
def test_the_container_can_use_s3(image: Image, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    container = _container(
        image,
        tmp_path,
        ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT="s3://artifacts",
        ARTIFACT_PROXY_S3_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="somebody",
        AWS_SECRET_ACCESS_KEY="secret",  # noqa: S106 - of nothing
        AWS_MAX_ATTEMPTS="1",
    )
    refused = container.run(*image.entrypoint, "check")
    assert refused.returncode == 1
    assert f"http://127.0.0.1:{port}" in refused.stderr
    assert "boto3" not in refused.stderr


def _container(image: Image, directory: Path, **variables: str) -> Container:
    """Of the image, with new volumes for artifacts and for an access file below `directory`."""
    for step in image.final.all("RUN"):
        subprocess.run(["/bin/sh", "-c", image.placed(step.text)], check=True)
    mounts = [Mount(image.environment, str(image.environment))]
    for place, name in VOLUMES.items():
        inside = image.placed(place)
        volume = directory / name
        volume.mkdir()
        os.chown(volume, os.stat(inside).st_uid, os.stat(inside).st_gid)  # as an engine does it
        mounts.append(Mount(volume, inside, writable=True))
    own = {"ARTIFACT_PROXY_ACCESS_FILE": image.placed("/etc/artifact-proxy/access.toml")}
    return Container(directory / "container", USER, image.variables | own | variables, mounts)


def _token_command(image: Image) -> list[str]:
    """That of docs/operations.md, which needs the volume alone."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    found = re.search(
        r"^docker run --rm -v access:/etc/artifact-proxy artifact-proxy \\\n  (token .*)$", page, re.MULTILINE
    )
    assert found
    return shlex.split(image.placed(found[1]))


def _name(place: Path) -> str:
    """The distribution that a .dist-info directory is of."""
    return place.name.rpartition(".")[0].partition("-")[0].replace("_", "-").lower()
