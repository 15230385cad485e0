"""The commands of the documents, run as a reader would type them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.mlflow_server import mlflow_environment, stop_group
from tests.support.programs import on_path
from tests.support.waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 240  # with all that pip installs; it takes 15 on an idle machine
_FOREIGN = ("COVERAGE_", "PYTHON", "VIRTUAL_ENV")


def commands(document: str, first_words: str) -> str:
    """The one block of shell commands in a document that begins with these words."""
    text = (ROOT / document).read_text("utf-8")
    found = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (block,) = [block for block in found if block.startswith(first_words)]
    return str(block)


def with_others(text: str, others: Mapping[str, object]) -> str:
    """`text` with other words, such as ports that are free, in the place of its own; it has all of them."""
    words = re.compile("|".join(rf"(?<!\w){re.escape(own)}(?!\w)" for own in others))
    assert set(words.findall(text)) == set(others), text
    return words.sub(lambda found: str(others[found[0]]), text)


def terminal(**variables: str) -> dict[str, str]:
    """The environment of a reader who has installed what this project's developers have."""
    inherited = {name: value for name, value in mlflow_environment().items() if not name.startswith(_FOREIGN)}
    return inherited | {"PATH": f"{Path(sys.executable).parent}:{inherited['PATH']}"} | variables


def run(script: str, directory: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Types commands, which have to succeed; returns the environment that they leave behind."""
    left = directory / "environment"
    log_file = directory / "commands.log"
    with log_file.open("wb") as log:
        status = subprocess.call(
            _shell(f"{script}\nstatus=$?; env -0 >environment; exit $status"),
            cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    assert status == 0, f"{script}\n{log_file.read_text()}"
    pairs = [pair.partition("=") for pair in left.read_text().split("\0") if pair]
    return {name: value for name, _, value in pairs}


@contextmanager
def staying(script: str, directory: Path, environment: Mapping[str, str], says: str) -> Iterator[None]:
    """Types commands whose last one stays in the foreground; it has said `says` inside the block."""
    log_file = directory / f"server-{len(list(directory.glob('server-*.log')))}.log"
    with log_file.open("wb") as log:
        shell = subprocess.Popen(
            _shell(f"{script}\n:"),  # or else the shell might become that command
            cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while says not in log_file.read_text():
            assert shell.poll() is None, f"{script}\n{log_file.read_text()}"
            assert time.monotonic() < deadline, f"{script}\n{log_file.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(shell.pid).children():
                process.terminate()
        stop_group(shell)


def _shell(script: str) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", script]


@dataclass(frozen=True)
class NginxHost:
    """A machine with nginx whose files are all below one directory."""

    environment: Mapping[str, str]
    configuration: Path
    """In the place of /etc/nginx/nginx.conf."""
    pid_file: Path

    def master(self) -> int:
        """The process id of nginx."""
        wait_until(self.running, "nginx")
        return int(self.pid_file.read_text())

    def running(self) -> bool:
        return self.pid_file.exists() and self.pid_file.read_text().strip() != ""


_PROGRAMS = {
    "sudo": 'exec "$@"',
    "nginx": 'exec {nginx} -e {directory}/error.log -c {directory}/nginx.conf -g "{user}" "$@"',
    "systemctl": """\
case "$*" in
"restart nginx")
  if [ -s {directory}/nginx.pid ]; then
    nginx -s stop
    while [ -e {directory}/nginx.pid ]; do sleep 0.02; done
  fi
  nginx
  ;;
"reload nginx") nginx -s reload ;;
*) exit 1 ;;
esac""",
}


@contextmanager
def nginx_host(directory: Path) -> Iterator[NginxHost]:
    """Where `sudo` and `systemctl` do to a real nginx what they would do to that of the system."""
    programs = directory / "programs"
    programs.mkdir(parents=True)
    nginx = on_path("nginx")
    assert nginx, "nginx is not installed"
    # As root, its workers would be nobody, who may not enter a test's directories.
    user = "user root;" if os.geteuid() == 0 else ""
    for name, text in _PROGRAMS.items():
        program = programs / name
        filled = text.format(nginx=nginx, directory=shlex.quote(str(directory)), user=user)
        program.write_text(f"#!/bin/sh\n{filled}\n")
        program.chmod(0o755)
    pid_file = directory / "nginx.pid"
    environment = terminal(
        NGINX_ACCESS_LOG=str(directory / "access.log"), NGINX_PID=str(pid_file), NGINX_STATE=str(directory)
    )
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    host = NginxHost(environment, directory / "nginx.conf", pid_file)
    try:
        yield host
    finally:
        if host.running():
            os.kill(host.master(), signal.SIGTERM)
            wait_until(lambda: not pid_file.exists(), "the end of nginx")
