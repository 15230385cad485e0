"""The quick starts of the documents, word for word as a new user would try them.

Only ports and places of files are others, which are those of the test.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.e2e.behind_nginx import renewing
from tests.e2e.conftest import Proxy
from tests.support.access_log import logged
from tests.support.compose import MINIO, project
from tests.support.mlflow_server import running_tracking_server
from tests.support.object_store import ObjectStore
from tests.support.ports import free_ports
from tests.support.programs import installed
from tests.support.quick_starts import (
    ROOT,
    NginxHost,
    commands,
    nginx_host,
    run,
    staying,
    terminal,
    with_others,
)
from tests.support.server import running

SERVES = " serves "


@pytest.fixture
def checkout(need: Callable[[str], str], tmp_path: Path) -> Path:
    """What somebody gets who clones this repository as it is now."""
    made = tmp_path / "checkout"
    listing = subprocess.check_output(
        [need("git"), "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"], text=True
    )
    for name in listing.split("\0"):
        if name and (ROOT / name).is_file():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, made / name)
    return made


@pytest.fixture
def host(nginx_installed: None, tmp_path: Path) -> Iterator[NginxHost]:
    with nginx_host(tmp_path / "host") as prepared:
        yield prepared


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A checkout with no more than what makes configurations of nginx."""
    made = tmp_path / "checkout"
    for name in ("scripts/nginx-conf", "config/nginx.conf", "config/nginx-migration.conf"):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, made / name)
    return made


def place(tmp_path: Path, name: str) -> Path:
    """A directory in which somebody works."""
    made = tmp_path / name
    made.mkdir()
    return made


def test_with_pip(checkout: Path, client: httpx.Client) -> None:
    (port,) = free_ports(1)
    script = with_others(commands("README.md", "python3 -m venv venv\n"), {"5500": port})
    with staying(script, checkout, terminal(), SERVES):
        url = f"http://127.0.0.1:{port}/v1/artifacts/models/a.bin"
        assert client.put(url, content=b"model").status_code == 201
        answer = client.get(url)
        assert (answer.status_code, answer.content) == (200, b"model")
    assert (checkout / "artifacts" / "models" / "a.bin").read_bytes() == b"model"


def test_with_make(checkout: Path, client: httpx.Client) -> None:
    """`make test`, which sets itself up in the same way, is what runs this."""
    readme = (ROOT / "README.md").read_text("utf-8")
    assert commands("README.md", "make run ").splitlines()[0].split("#")[0].strip() == "make run"
    (with_port,) = re.findall(r"`(make run ARGS='--port \d+')`", readme)
    (port,) = free_ports(1)
    with staying(re.sub(r"\d+", str(port), with_port), checkout, terminal(), SERVES):
        url = f"http://127.0.0.1:{port}/v1/artifacts/a.bin"
        assert client.put(url, content=b"model").status_code == 201
    assert (checkout / "artifacts" / "a.bin").read_bytes() == b"model"


def test_with_a_root_in_s3(
    object_store: ObjectStore, bucket: str, client: httpx.Client, tmp_path: Path
) -> None:
    script = commands("README.md", "export AWS_ACCESS_KEY_ID=")
    given = {
        "AWS_ACCESS_KEY_ID=...": f"AWS_ACCESS_KEY_ID={object_store.access_key}",
        "AWS_SECRET_ACCESS_KEY=...": f"AWS_SECRET_ACCESS_KEY={object_store.secret_key}",
        "eu-central-1": object_store.region,
        "http://minio:9000": object_store.url,
        "s3://bucket/path": f"s3://{bucket}/path",
    }
    (port,) = free_ports(1)
    for shown, own in given.items():
        assert shown in script
        script = script.replace(shown, own)
    with staying(script, place(tmp_path, "anywhere"), terminal(ARTIFACT_PROXY_PORT=str(port)), SERVES):
        url = f"http://127.0.0.1:{port}/v1/artifacts/a.bin"
        assert client.put(url, content=b"model").status_code == 201
    with closing(object_store.client()) as direct:
        assert direct.get_object(Bucket=bucket, Key="path/a.bin")["Body"].read() == b"model"


def test_with_docker_compose() -> None:
    """As far as that goes without an engine: its client says what the command would start, and where."""
    before, text = (ROOT / "README.md").read_text("utf-8").split("```sh\ndocker compose ", 1)
    assert "Nothing has to be set" in before.splitlines()[-2]
    commands, promise = text.split("```", 1)
    command, token = commands.split("\n", 1)
    parts = re.fullmatch(r"((?:--profile \w+ )*)(.+)", command)
    assert parts is not None
    profiles, action = parts.groups()
    verb, *flags = shlex.split(action)
    known = subprocess.check_output([installed("docker-compose"), verb, "--help"], text=True)
    assert verb == "up"
    assert flags
    assert all(f"{flag} " in known for flag in flags)

    services = project(MINIO, tuple(profiles.split()[1::2]))["services"]
    found = re.fullmatch(r"export MLFLOW_TRACKING_TOKEN=\$\(docker compose (run .*)\)\n", token)
    assert found
    verb, *words = shlex.split(found[1])
    known = subprocess.check_output([installed("docker-compose"), verb, "--help"], text=True)
    assert all(f"{word}" in known for word in words if word.startswith("-"))
    *_, program, service, shown = words
    assert program == "cat"
    assert Path(shown).parent in [Path(mount["target"]) for mount in services[service]["volumes"]]
    nginx, mlflow = services["nginx"], services["mlflow"]
    published = {int(port["published"]): port["target"] for port in nginx["ports"]}
    tracking, artifacts = re.findall(r"http://localhost:(\d+)", promise.split("\n\n")[1])
    assert f"MLFLOW_TRACKING_URI=http://localhost:{tracking}`" in promise
    assert nginx["environment"]["TRACKING_LISTEN"] == str(published[int(tracking)])
    host, port = nginx["environment"]["TRACKING_SERVER"].split(":")
    assert {f"--host={host}", f"--port={port}"} <= set(mlflow["command"])
    assert (mlflow["network_mode"], host) == ("service:nginx", "127.0.0.1")
    assert nginx["environment"]["NGINX_LISTEN"] == str(published[int(artifacts)])
    assert f"`http://localhost:{artifacts}/v1/artifacts/`" in promise


def test_with_a_new_tracking_server(
    user_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlflow import MlflowClient, artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.utils.cli_args import PORT

    proxy_port, tracking_port = free_ports(2)
    store, runs, people = (place(tmp_path, name) for name in ("store", "runs", "people"))
    of_store, of_runs, of_people = commands("README.md", "# where the artifacts are kept\n").split("\n\n")
    of_store = with_others(of_store, {"5500": proxy_port, "/srv/artifacts": store / "artifacts"})
    of_runs = with_others(of_runs, {"5500": proxy_port})
    # Its own port is not among its words.
    (option,) = PORT(lambda: None).__click_params__
    assert option.default == 5000
    of_server = {"MLFLOW_PORT": str(tracking_port), "MLFLOW_WORKERS": "1"}

    with (
        staying(of_store, store, terminal(), SERVES),
        staying(of_runs, runs, terminal(**of_server), "Uvicorn running on"),
    ):
        left = run(with_others(of_people, {"5000": tracking_port}), people, terminal())
        monkeypatch.setenv("MLFLOW_TRACKING_URI", left["MLFLOW_TRACKING_URI"])
        client = MlflowClient()
        run_id = client.create_run("0").info.run_id
        client.log_text(run_id, "logged", "notes/a.txt")
        uri = client.get_run(run_id).info.artifact_uri
        assert uri.startswith(f"http://127.0.0.1:{proxy_port}/api/2.0/mlflow-artifacts/artifacts/")
        assert artifacts.load_text(f"{uri}/notes/a.txt") == "logged"
        (kept,) = (store / "artifacts").rglob("a.txt")

        client.delete_run(run_id)
        assert kept.read_text() == "logged"
        collect = with_others(commands("docs/mlflow.md", "mlflow gc "), {"5000": tracking_port})
        run(collect, runs, terminal())
        assert not kept.exists()
        with pytest.raises(MlflowException, match="not found"):
            client.get_run(run_id)


def test_with_a_tracking_server_that_has_served_the_artifacts_itself(
    user_environment: None, host: NginxHost, scripts: Path, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    (port,) = free_ports(1)
    destination = tmp_path / "destination"
    first = commands("docs/mlflow.md", "export NGINX_LISTEN=5000 ")
    second = commands("docs/mlflow.md", "scripts/nginx-conf nginx-migration.conf ")
    nginx_conf = {"/etc/nginx/nginx.conf": host.configuration}

    with running_tracking_server(tmp_path / "old", artifacts_destination=str(destination)) as old:
        ports = {"5000": port, "127.0.0.1:5002": old.url.removeprefix("http://")}
        first = with_others(first, nginx_conf | ports)
        left = run(first, scripts, host.environment)
        client = MlflowClient(tracking_uri=f"http://127.0.0.1:{port}")
        run_id = client.create_run("0").info.run_id
        client.log_text(run_id, "old", "old.txt")
        fetched = Path(client.download_artifacts(run_id, "old.txt", str(tmp_path)))
        assert fetched.read_text() == "old"

        with running(destination) as server:

            def moved() -> list[tuple[str, str]]:
                asked = logged(server, f"/{run_id}/artifacts/")
                return [(each.method, each.target.rpartition("/")[2]) for each in asked]

            script = scripts / "scripts" / "nginx-conf"
            at_5500 = {"127.0.0.1:5500": server.url.removeprefix("http://")}
            script.write_text(with_others(script.read_text(), at_5500))
            with renewing(host.master()):
                run(with_others(second, nginx_conf), scripts, left)
            fetched = Path(client.download_artifacts(run_id, "old.txt", str(place(tmp_path, "again"))))
            assert fetched.read_text() == "old"
            client.log_text(run_id, "new", "new.txt")
            assert moved() == [("GET", "old.txt"), ("PUT", "new.txt")]

            run(first, scripts, host.environment)
            fetched = Path(client.download_artifacts(run_id, "new.txt", str(tmp_path)))
            assert fetched.read_text() == "new"
            assert moved() == [("GET", "old.txt"), ("PUT", "new.txt")]


def test_with_nginx_on_a_host(
    host: NginxHost, scripts: Path, local_proxy: Proxy, client: httpx.Client
) -> None:
    (port,) = free_ports(1)
    servers = dict.fromkeys(
        ("10.0.0.1:5500", "10.0.0.2:5500"), local_proxy.server.url.removeprefix("http://")
    )
    block = commands("docs/reverse-proxies.md", "export ARTIFACT_PROXY_SERVERS=")
    script = with_others(block, servers | {"/etc/nginx/nginx.conf": host.configuration})
    run(script, scripts, {**host.environment, "NGINX_LISTEN": str(port)})
    answer = client.get(f"http://127.0.0.1:{port}/v1/artifacts/")
    assert (answer.status_code, answer.headers["server"]) == (200, "nginx")
