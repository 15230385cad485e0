"""The command as a process: how it starts and ends, its exit status, and its workers."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import uvicorn

from app import __version__
from app.cli import main
from tests.support.object_store import ObjectStore
from tests.support.server import Server, clean_environment, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_variables")


class TestProcess:
    """The real command, in a process of its own."""

    @pytest.mark.parametrize(
        "command",
        [[sys.executable, "-m", "app"], [str(Path(sys.executable).with_name("artifact-proxy"))]],
        ids=["python -m app", "artifact-proxy"],
    )
    def test_it_is_a_module_and_a_command(self, command: list[str]) -> None:
        outcome = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, env=clean_environment()
        )
        assert (outcome.returncode, outcome.stdout) == (0, f"artifact-proxy {__version__}\n")

    @pytest.mark.parametrize(
        ("flag", "value"),
        [("--default-artifact-root", "http://127.0.0.1:9000"), ("--host", "é" * 70)],
        ids=["a root that is an address", "a host that is no name"],
    )
    def test_a_mistake_ends_it_with_one_sentence(self, flag: str, value: str, tmp_path: Path) -> None:
        outcome = subprocess.run(
            [sys.executable, "-m", "app", "--artifacts-destination", tmp_path, "--port", "0", flag, value],
            capture_output=True,
            text=True,
            env=clean_environment(),
        )
        assert outcome.returncode == 2
        assert outcome.stdout == ""
        assert outcome.stderr.startswith("artifact-proxy: ")
        assert outcome.stderr.count("\n") == 1
        assert flag in outcome.stderr
        assert repr(value) in outcome.stderr

    def test_an_interruption_from_the_keyboard_is_a_success(self, tmp_path: Path) -> None:
        with running(tmp_path / "root", "--static-prefix", "/mlflow/") as server:
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mlflow", server.url)
            server.process.send_signal(signal.SIGINT)
            assert server.process.wait(20) == 0
        assert "Traceback" not in server.log()

    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_a_server_that_cannot_start_is_a_failure(self, workers: str, tmp_path: Path) -> None:
        # `int` in place of the application, which no worker can make of the settings.
        program = "import sys, app.cli; app.cli.open_app = int; sys.exit(app.cli.main(sys.argv[1:]))"
        arguments = ["--default-artifact-root", str(tmp_path), "--port", "0", "--workers", workers]
        outcome = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            capture_output=True,
            env=clean_environment(),
            timeout=60,
        )
        assert outcome.returncode != 0


class TestOutcome:
    """What becomes of the end of the server in the exit status."""

    @pytest.fixture
    def arguments(self, tmp_path: Path) -> list[str]:
        return ["--default-artifact-root", str(tmp_path), "--port", "0"]

    def test_a_server_that_ended_before_it_started_is_a_failure(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
        assert main(arguments) == 1

    def test_an_address_of_ipv6_stands_in_brackets(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        class Listener(socket.socket):
            """Stands for one at ::1, which not every machine has."""

            def getsockname(self) -> tuple[str, int, int, int]:
                return ("::1", 5500, 0, 0)

        def create_server(address: tuple[str, int], *, family: int, backlog: int) -> Listener:
            assert (address[0], family) == ("::1", socket.AF_INET6)
            return Listener()

        monkeypatch.setattr(socket, "create_server", create_server)
        monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: None)
        main([*arguments, "--host", "::1", "--static-prefix", "/mlflow/"])
        assert capfd.readouterr().out.endswith(" at http://[::1]:5500/mlflow\n")


def test_workers_serve_a_root_in_s3_and_log_no_secret(
    serve: Callable[..., Server], object_store: ObjectStore, bucket: str
) -> None:
    arguments = '{"Metadata": {"team": "Zx81"}}'
    environment = object_store.environment() | {"MLFLOW_S3_UPLOAD_EXTRA_ARGS": arguments}
    server = serve("--workers", "2", root=f"s3://{bucket}/some/root", **environment)
    assert f"serves s3://{bucket}/some/root at " in server.log()
    wait_until(lambda: server.log().count("Application startup complete.") == 2, "two workers that serve")
    assert httpx.put(f"{server.native}/d/a.txt", content=b"data", timeout=20).status_code == 201
    assert httpx.get(f"{server.native}/d/a.txt", timeout=20).content == b"data"
    with closing(object_store.client()) as client:
        stored = client.get_object(Bucket=bucket, Key="some/root/d/a.txt")
        assert (stored["Body"].read(), stored["Metadata"]["team"]) == (b"data", "Zx81")
    for secret in ("Zx81", object_store.secret_key):
        assert secret not in server.log()
