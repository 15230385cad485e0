"""The command: its help, its exit status, and the one sentence for each mistake in its configuration."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from pydantic import BaseModel, Field, SecretStr

from app import __version__, config
from app.cli import main
from app.errors import ArtifactError, StorageUnavailable
from app.main import open_storage
from app.paths import ArtifactPath
from app.storage import registry
from app.storage.local.storage import LocalStorage
from tests.support.server import Server, clean_environment, running
from tests.support.waiting import wait_until

Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(os.environ) - set(clean_environment()):
        monkeypatch.delenv(name)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """What the command says when it refuses to start."""

    def message(*arguments: str) -> str:
        assert main(["--port", "0", *arguments]) == 2
        written = capsys.readouterr()
        assert written.out == ""
        assert written.err.startswith("artifact-proxy: ")
        assert written.err.count("\n") == 1
        return written.err

    return message


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints and then exits with success."""
    try:
        status: object = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    assert status == 0
    written = capsys.readouterr()
    assert written.err == ""
    return written.out


class TestHelp:
    @pytest.fixture
    def text(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("COLUMNS", "1000")
        return printed(capsys, "--help")

    @pytest.mark.parametrize("name", config.settings_class().model_fields)
    def test_it_explains_each_setting(self, text: str, name: str) -> None:
        field = config.settings_class().model_fields[name]
        entries = [" ".join(entry.split()) for entry in re.split(r"\n  (?=--)", text)]
        [entry] = [entry for entry in entries if re.match(rf"{config.flag_name(name)}[ ,]", entry)]
        assert field.description
        assert field.description in entry
        shown = str(field.default).lower() if field.annotation is bool else field.default or "none"
        assert f"(default: {shown})" in entry
        variables = [f"ARTIFACT_PROXY_{name.upper()}"]
        if name in config.MLFLOW_VARIABLES:
            variables.append(config.MLFLOW_VARIABLES[name])
        assert f"[{', '.join(variables)}]" in entry

    def test_it_knows_the_name_that_mlflow_uses(self, text: str) -> None:
        assert "--default-artifact-root ROOT, --artifacts-destination ROOT" in text

    def test_it_explains_what_is_no_setting(self, text: str) -> None:
        for part in ("--config FILE", "ARTIFACT_PROXY_CONFIG", "--version", "serve", "config: print"):
            assert part in text

    def test_it_says_which_source_wins(self, text: str) -> None:
        assert re.search("flag.*ARTIFACT_PROXY_.*MLflow.*file.*default", text.splitlines()[-1])


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"artifact-proxy {__version__}\n"


class TestConfigCommand:
    def test_it_prints_the_effective_configuration(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_HOST", "::1")
        flags = {"port": "7", "read_only": True, "access_log": False, "no_delete": True}
        text = printed(capsys, "config", "--port", "7", "--read-only", "--no-access-log", "--no-delete")
        assert text == config.load(flags, None).printed() + "\n"
        assert 'host = "::1"  # MLFLOW_HOST' in text

    def test_it_neither_makes_nor_needs_the_root(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        root = tmp_path / "missing" / "root"
        assert str(root) in printed(capsys, "config", "--default-artifact-root", str(root))
        assert not root.parent.exists()

    @pytest.mark.parametrize("flag", ["--default-artifact-root", "--artifacts-destination"])
    def test_the_root_has_two_names(self, capsys: pytest.CaptureFixture[str], flag: str) -> None:
        text = printed(capsys, "config", flag, "/srv/a")
        assert text.splitlines()[0] == 'default_artifact_root = "/srv/a"  # --default-artifact-root'

    def test_the_file_is_named_by_a_flag_or_a_variable(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = tmp_path / "first.toml", tmp_path / "second.toml"
        first.write_text("workers = 3\n")
        second.write_text("workers = 4\n")
        assert f"workers = 3  # workers in {first}" in printed(capsys, "config", "--config", str(first))
        monkeypatch.setenv("ARTIFACT_PROXY_CONFIG", str(second))
        assert f"workers = 4  # workers in {second}" in printed(capsys, "config")
        assert f"workers = 3  # workers in {first}" in printed(capsys, "config", "--config", str(first))
        monkeypatch.setenv("ARTIFACT_PROXY_CONFIG", "")
        assert "workers = 1  # default" in printed(capsys, "config")

    def test_it_refuses_what_the_server_would_refuse(self, refused: Refused, tmp_path: Path) -> None:
        assert "--workers='0'" in refused("config", "--workers", "0")
        assert str(tmp_path / "none.toml") in refused("config", "--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--unknown"], ["--por", "1"], ["--port"], ["start"], ["serve", "config"], ["--read-only=yes"]),
        *(["--no-no-delete"], ["-p", "1"], ["--config"], ["./artifacts"]),
    ],
    ids=" ".join,
)
def test_arguments_that_make_no_sense_exit_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert "artifact-proxy: error: " in written.err


class BackendSettings(BaseModel):
    region: str | None = Field(None, description="100% optional.")
    secret: SecretStr = Field(SecretStr(""), description="A key.")


def test_the_settings_of_a_backend_are_flags_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(registry, "settings_models", lambda: [BackendSettings])
        config.settings_class.cache_clear()
        try:
            text = printed(capsys, "--help")
            assert "--region" in text
            assert "100% optional. (default: none) [ARTIFACT_PROXY_REGION]" in " ".join(text.split())
            shown = printed(capsys, "config", "--region", "eu", "--secret", "very-secret")
        finally:
            config.settings_class.cache_clear()
    assert 'region = "eu"  # --region' in shown
    assert "very-secret" not in shown


class TestRoot:
    """Roots that cannot be: the start stops with the name, the value and the remedy."""

    @pytest.mark.parametrize(
        "root",
        [
            *("http://127.0.0.1:9000", "https://s3.example.org/bucket", "HTTP://x", "mlflow-artifacts:/"),
            *("mlflow-artifacts://proxy:5500/", "http:"),
        ],
    )
    @pytest.mark.parametrize(
        "name",
        ["--default-artifact-root", "ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT", "MLFLOW_ARTIFACTS_DESTINATION"],
    )
    def test_an_address_for_clients_is_no_storage(
        self, refused: Refused, monkeypatch: pytest.MonkeyPatch, root: str, name: str
    ) -> None:
        if name.startswith("--"):
            message = refused(name, root)
        else:
            monkeypatch.setenv(name, root)
            message = refused()
        assert f"{name}={root!r} cannot be used" in message
        assert "MLFLOW_S3_ENDPOINT_URL" in message
        assert "tracking server's own --default-artifact-root" in message

    @pytest.mark.parametrize(
        "root", ["gs://bucket/a", "abfss://c@a/b", "ftp://host", "dbfs:/a", "nonsense:x", "S4://b"]
    )
    def test_an_unknown_scheme_brings_the_known_ones(self, refused: Refused, root: str) -> None:
        message = refused("--artifacts-destination", root)
        assert f"--default-artifact-root={root!r}" in message
        for scheme in [scheme for backend in registry.BACKENDS for scheme in backend.schemes]:
            assert f"{scheme}:" in message if scheme else "a plain path" in message

    @pytest.mark.parametrize(
        ("root", "remedy"),
        [
            ("", "name a directory"),
            ("file:", "not absolute"),
            ("file:artifacts", "file:///path"),
            ("file:./artifacts", "file:///path"),
            ("file://host/share", "'host'"),
            ("file://artifacts", "file:///path"),
            ("file:///a?b", "%3F"),
            ("file:///a#b", "%23"),
            ("file:///%ff", "cannot be used"),
            ("file://[", "cannot be used"),
            ("file:///a%00b", "cannot be used"),
        ],
    )
    def test_a_file_url_that_is_no_local_directory_is_explained(
        self, refused: Refused, root: str, remedy: str
    ) -> None:
        message = refused("--default-artifact-root", root)
        assert f"--default-artifact-root={root!r} cannot be used: " in message
        assert remedy in message

    def test_a_file_is_no_root(self, refused: Refused, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"mine")
        for root in (str(file), f"{file}/below"):
            message = refused("--default-artifact-root", root)
            assert f"{root!r} is not a directory; name one" in message
        assert file.read_bytes() == b"mine"

    @pytest.mark.parametrize("read_only", [[], ["--read-only"]], ids=["", "read-only"])
    def test_only_the_last_directory_is_made(
        self, refused: Refused, tmp_path: Path, read_only: list[str]
    ) -> None:
        root = tmp_path / "missing" / "root"
        message = refused("--default-artifact-root", str(root), *read_only)
        missing = root if read_only else root.parent
        assert f"{str(missing)!r} does not exist; create or mount it first" in message
        assert list(tmp_path.iterdir()) == []

    def test_a_root_that_is_only_read_is_not_made(self, refused: Refused, tmp_path: Path) -> None:
        refused("--default-artifact-root", str(tmp_path / "root"), "--read-only")
        assert list(tmp_path.iterdir()) == []

    def test_a_root_that_leads_back_to_itself_is_explained(self, refused: Refused, tmp_path: Path) -> None:
        loop = tmp_path / "loop"
        loop.symlink_to(loop)
        assert f"--default-artifact-root={str(loop)!r} cannot be used: " in refused(
            "--default-artifact-root", str(loop)
        )

    def test_the_home_of_nobody_is_explained(self, refused: Refused) -> None:
        root = "~no-such-user/artifacts"
        assert f"--default-artifact-root={root!r} cannot be used: " in refused(
            "--default-artifact-root", root
        )

    def test_a_name_that_no_file_system_takes_is_explained(self, refused: Refused, tmp_path: Path) -> None:
        root = str(tmp_path / ("x" * 300))
        assert "File name too long" in refused("--default-artifact-root", root)

    def test_a_storage_that_fails_its_check_is_explained(
        self, refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures: list[tuple[ArtifactError, BaseException | None]] = [
            (StorageUnavailable("The storage is away."), None),
            (StorageUnavailable("The storage is away."), OSError(5, "I/O error")),
        ]
        for error, cause in failures:

            def check(
                _: LocalStorage, error: ArtifactError = error, cause: BaseException | None = cause
            ) -> None:
                raise error from cause

            monkeypatch.setattr(LocalStorage, "check", check)
            message = refused("--default-artifact-root", str(tmp_path / "root"))
            assert "The storage is away." in message
            assert ("I/O error" in message) is (cause is not None)


class TestListen:
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path / "root")

    def test_a_port_in_use_is_explained(self, refused: Refused, root: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            message = refused("--port", port, "--default-artifact-root", root)
        assert port in message
        assert "Address already in use" in message
        assert "choose another" in message

    @pytest.mark.parametrize("host", ["203.0.113.1", "2001:db8::1", "::1::", "a" * 70, "a..b", "a b"])
    def test_an_address_that_is_not_of_this_machine_is_explained(
        self, refused: Refused, root: str, host: str
    ) -> None:
        message = refused("--host", host, "--default-artifact-root", root)
        assert repr(host) in message
        assert "choose another address" in message


@pytest.mark.parametrize(
    "form",
    ["file://{}", "file://localhost{}", "file:{}", "FILE://{}", "{}", "{}/", "{}/../root", "file://{}/"],
)
def test_a_root_may_be_a_path_or_a_file_url(form: str, tmp_path: Path) -> None:
    settings = config.load({"default_artifact_root": form.format(tmp_path / "root")}, None).settings
    with open_storage(settings, prepare=True).create(ArtifactPath.parse("a")) as upload:
        upload.write(b"here")
        upload.commit()
    assert (tmp_path / "root" / "a").read_bytes() == b"here"


def test_the_escapes_of_a_file_url_are_decoded_and_those_of_a_path_are_not(tmp_path: Path) -> None:
    for root, name in [(f"file://{tmp_path}/a%20b%23c", "a b#c"), (f"{tmp_path}/a%20b", "a%20b")]:
        open_storage(config.load({"default_artifact_root": root}, None).settings, prepare=True).close()
        assert (tmp_path / name).is_dir()


def test_a_relative_root_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, elsewhere = tmp_path / "start", tmp_path / "elsewhere"
    start.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(start)
    storage = open_storage(config.load({"default_artifact_root": "./artifacts"}, None).settings, prepare=True)
    monkeypatch.chdir(elsewhere)
    with storage.create(ArtifactPath.parse("a")) as upload:
        upload.commit()
    assert (start / "artifacts" / "a").is_file()
    assert list(elsewhere.iterdir()) == []


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

    def test_the_interruption_that_the_server_raises_again_is_a_success(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
            assert len(sockets) == 1
            raise KeyboardInterrupt

        monkeypatch.setattr(uvicorn.Server, "run", run)
        assert main(arguments) == 0

    def test_an_address_of_ipv6_stands_in_brackets(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
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
        assert capsys.readouterr().out.endswith(" at http://[::1]:5500/mlflow\n")


@pytest.fixture
def two_workers(tmp_path: Path) -> Iterator[Server]:
    with running(tmp_path / "root", "--workers", "2") as server:
        wait_until(lambda: server.log().count("Application startup complete.") == 2, "two workers that serve")
        yield server


def worker_ids(server: Server) -> set[int]:
    return {int(number) for number in re.findall(r"Started server process \[(\d+)\]", server.log())}


def test_each_of_two_workers_serves_the_same_artifacts(two_workers: Server) -> None:
    workers = worker_ids(two_workers)
    assert len(workers) == 2
    for worker in workers:
        # What the other one cannot take while it stands still, this one must.
        [other] = workers - {worker}
        os.kill(other, signal.SIGSTOP)
        try:
            url = f"{two_workers.native}/by-{worker}.txt"
            assert httpx.put(url, content=str(worker).encode(), timeout=20).status_code == 201
        finally:
            os.kill(other, signal.SIGCONT)
    for worker in workers:
        assert httpx.get(f"{two_workers.native}/by-{worker}.txt").content == str(worker).encode()


def test_sigterm_ends_all_workers_in_order(two_workers: Server) -> None:
    workers = worker_ids(two_workers)
    two_workers.process.send_signal(signal.SIGTERM)
    assert two_workers.process.wait(20) == 0
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
    assert two_workers.log().count("Application shutdown complete.") == 2
    assert "Traceback" not in two_workers.log()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{two_workers.url}/health")
