"""The unit for systemd, judged by systemd itself, and the server run as the unit runs it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.server.process import Patience
from app.server.supervisor import MARGIN_SECONDS
from tests.support.access import bearer, token_stanza
from tests.support.ports import free_ports
from tests.support.programs import installed
from tests.support.server import clean_environment, stop
from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "config" / "systemd" / "artifact-proxy.service"
UNIT = FILE.read_text("utf-8")
VERIFY = ("verify", "--man=no", "--recursive-errors=no")
EXPOSURE_LIMIT = 20
"""In tenths: systemd calls up to 2.0 well protected."""


def values(key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def value(key: str) -> str:
    (found,) = values(key)
    return found


def variables() -> dict[str, str]:
    return dict(each.split("=", 1) for each in values("Environment"))


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that exists on this machine."""
    file = tmp_path / FILE.name
    file.write_text(UNIT.replace(value("ExecStart"), installed("artifact-proxy")))
    return file


def test_systemd_finds_no_fault(need: Callable[[str], str], unit: Path) -> None:
    judged = subprocess.run(
        [need("systemd-analyze"), *VERIFY, unit], capture_output=True, text=True, check=False
    )
    assert (judged.returncode, judged.stderr) == (0, "")


def test_systemd_finds_a_fault_where_there_is_one(need: Callable[[str], str], unit: Path) -> None:
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KilMode=mixed"))
    judged = subprocess.run(
        [need("systemd-analyze"), *VERIFY, unit], capture_output=True, text=True, check=False
    )
    assert "KilMode" in judged.stderr


def test_the_service_is_confined(need: Callable[[str], str], unit: Path) -> None:
    analysis = [need("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}"]
    judged = subprocess.run([*analysis, unit], capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout


def test_what_its_head_installs_is_there() -> None:
    head = UNIT.partition("[Unit]")[0]
    files = re.findall(r"(?:-r |cp |-m 600 )([a-z][\w./-]+)", head)
    assert files == [
        "requirements.lock",
        "requirements-build.lock",
        "config/systemd/artifact-proxy.service",
        "config/artifact-proxy.env.example",
    ]
    assert [path for path in files if not (ROOT / path).is_file()] == []
    program = re.search(r"python3 -m venv (\S+)", head)
    assert program is not None
    assert value("ExecStart") == f"{program[1]}/bin/artifact-proxy"
    assert value("EnvironmentFile").removeprefix("-") in head.split()


def test_the_root_lies_in_the_directory_that_systemd_makes() -> None:
    root = variables()["ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT"]
    assert Path(root).parent == Path("/var/lib") / value("StateDirectory")


def test_a_server_started_so_keeps_its_root_in_a_new_state_directory(tmp_path: Path) -> None:
    state = tmp_path / value("StateDirectory")
    state.mkdir()
    root = variables()["ARTIFACT_PROXY_DEFAULT_ARTIFACT_ROOT"]
    (port,) = free_ports(1)
    own = {
        name: text.replace(f"/var/lib/{state.name}", str(state)).replace("/etc/artifact-proxy", str(tmp_path))
        for name, text in variables().items()
    }
    own["ARTIFACT_PROXY_PORT"] = str(port)
    url = f"http://127.0.0.1:{port}/v1/artifacts/"
    log_file = tmp_path / "log"
    program, *flags = value("ExecStart").split()
    server = [installed(Path(program).name), *flags]

    started = subprocess.run(
        server, env=clean_environment() | own, cwd=tmp_path, capture_output=True, text=True
    )
    assert started.returncode == 2
    assert "access.toml" in started.stderr, "it is closed before anybody has made a token"
    token = _token_of_the_head(tmp_path)

    with log_file.open("wb") as log:
        process = subprocess.Popen(
            server,
            env=clean_environment() | own,
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: "startup complete" in log_file.read_text() or process.poll() is not None, "the server"
        )
        assert (state / Path(root).name / ".artifact-proxy").is_dir(), log_file.read_text()
        assert list(state.iterdir()) == [state / Path(root).name]
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers=bearer(token)).status_code == 200
        assert value("ExecReload") == "/bin/kill -HUP $MAINPID"
        (tmp_path / "access.toml").write_text(token_stanza("another")[1])
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: httpx.get(url, headers=bearer(token)).status_code == 401, "the new access file")
        process.terminate()
        assert process.wait(20) == 0, "any other status is a failure, which Restart= would answer"
    finally:
        stop(process)


def _token_of_the_head(directory: Path) -> str:
    """Runs its two lines for that; the group is that of whoever runs the test."""
    head = UNIT.partition("[Unit]")[0]
    file = variables()["ARTIFACT_PROXY_ACCESS_FILE"]
    (prepare,) = re.findall(rf"^#   (install .* {file})$", head, re.MULTILINE)
    (make,) = re.findall(r"^#   (\S+/artifact-proxy token new .*)$", head, re.MULTILINE)
    assert " -g artifact-proxy " in prepare
    assert file in make.split()
    program = value("ExecStart")
    script = f"{prepare}\n{make}".replace(" -g artifact-proxy ", " ").replace(
        program, installed("artifact-proxy")
    )
    made = subprocess.check_output(
        ["sh", "-ec", script.replace(file, str(directory / "access.toml"))], text=True
    )
    assert (directory / "access.toml").stat().st_mode & 0o777 == 0o640
    return made.strip()


def test_a_start_that_fails_is_tried_again_for_ever(tmp_path: Path) -> None:
    missing = tmp_path / "not mounted yet" / "root"
    started = subprocess.run(
        [sys.executable, "-m", "app", "--default-artifact-root", missing],
        env=clean_environment(),
        capture_output=True,
        check=False,
    )
    assert started.returncode > 0, "what Restart=on-failure answers"
    assert value("Restart") == "on-failure"
    assert (value("StartLimitIntervalSec"), values("RestartPreventExitStatus")) == ("0", [])


def test_a_server_that_is_stopped_has_time_to_drain() -> None:
    patience = Patience(0, float(variables()["ARTIFACT_PROXY_DRAIN_TIMEOUT"]))
    assert float(value("TimeoutStopSec")) > patience.whole + MARGIN_SECONDS
    assert value("KillMode") == "mixed", "a second signal to all would stop them at once"
