"""The command as a process: how it starts and ends, its exit status, and its workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn

from app import __version__
from app.cli import main
from tests.support.object_store import ObjectStore
from tests.support.patched import ROOT
from tests.support.ports import free_ports
from tests.support.server import Server, clean_environment, running, start, stop
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


class TestStart:
    """Before there is a server, which takes the signals then."""

    @pytest.fixture(params=["python -m app", "artifact-proxy"])
    def command(self, request: pytest.FixtureRequest) -> list[str]:
        if request.param == "python -m app":
            return [sys.executable, "-m", "app"]
        script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["artifact-proxy"]
        module, _, function = script.partition(":")
        return [sys.executable, "-c", f"import sys, {module}; sys.exit({module}.{function}())"]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.usefixtures("need_containers")
    def test_the_first_process_of_a_container_can_be_stopped_while_it_imports(
        self, command: list[str], number: signal.Signals, tmp_path: Path
    ) -> None:
        (tmp_path / "uvicorn.py").write_text("import time; print('imported', flush=True); time.sleep(600)")
        namespace = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment() | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        )
        with namespace:
            try:
                assert namespace.stdout is not None
                assert namespace.stdout.readline() == b"imported\n"
                [first] = psutil.Process(namespace.pid).children()
                first.send_signal(number)
                assert namespace.wait(20) == 128 + number
                assert namespace.communicate() == (b"", b"")
            finally:
                namespace.kill()

    def test_an_interruption_while_the_storage_is_silent_needs_no_words(self, tmp_path: Path) -> None:
        secrets = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        with socket.create_server(("127.0.0.1", 0)) as store, (tmp_path / "log").open("wb") as log:
            store.settimeout(20)
            url = f"http://127.0.0.1:{store.getsockname()[1]}"
            process = start("s3://bucket/root", "--s3-endpoint-url", url, log=log, environment=secrets)
            try:
                with store.accept()[0] as connection:
                    assert connection.recv(1)
                    process.send_signal(signal.SIGINT)
                    assert process.wait(20) == 128 + signal.SIGINT
            finally:
                stop(process)
        assert (tmp_path / "log").read_bytes() == b""


class TestStandardStreams:
    """Whoever starts the server may give it none that are of use."""

    @pytest.mark.parametrize("output", [">/dev/full", "> >(exec true)"], ids=["full", "a closed pipe"])
    def test_it_serves_where_nobody_takes_what_it_says(self, output: str, tmp_path: Path) -> None:
        with _serving(tmp_path, output) as process:
            process.terminate()
            assert process.wait(20) == 0
        log = (tmp_path / "log").read_text()
        assert "Finished server process" in log
        assert not re.search("Traceback|Exception|Errno", log)

    def test_no_socket_takes_the_place_of_those_that_are_closed(self, tmp_path: Path) -> None:
        with _serving(tmp_path, "--workers 2 <&- >&- 2>&-") as process:
            children = psutil.Process(process.pid).children()
            workers = [child.pid for child in children if "--multiprocessing-fork" in child.cmdline()]
            assert len(workers) == 2
            for number in (process.pid, *workers):
                streams = [os.readlink(f"/proc/{number}/fd/{descriptor}") for descriptor in range(3)]
                assert streams == [os.devnull] * 3


@contextmanager
def _serving(directory: Path, rest: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that a shell starts, with `rest` as the end of its command line, once it answers."""
    [port] = free_ports(1)
    line = f"exec {sys.executable} -m app --default-artifact-root {directory}/root --port {port} {rest}"
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", line], stderr=log, env=clean_environment())
    try:
        wait_until(lambda: _answers(port), "the server answers")
        yield process
    finally:
        stop(process)


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=20).is_success
    except httpx.TransportError:
        return False


@pytest.mark.usefixtures("need_containers")
@pytest.mark.parametrize(("size", "place"), [("8m", "temporary"), ("64m", "memory")])
def test_workers_count_together_in_memory_where_that_has_room(size: str, place: str, tmp_path: Path) -> None:
    expected = {"temporary": f"{tmp_path}", "memory": "/dev/shm"}[place]  # noqa: S108 - the first is a fake
    program = "from app.server.shared_directory import SharedDirectory as D; print(D().path.parent)"
    script = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec {sys.executable} -c "{program}"'
    made = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        env=clean_environment() | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )
    assert (made.stdout, made.stderr) == (f"{expected}\n", "")


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
