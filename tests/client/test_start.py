"""How the commands start: soon, with nothing of the server, and known to it by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import CLIENT_COMMANDS
from artifact_proxy.command.arguments import COMMANDS, parser
from tests.support.client_command import Run
from tests.support.server import Server, clean_environment

FOREIGN = {"boto3", "fastapi", "pydantic", "starlette", "uvicorn", "uvloop", "tqdm", "shtab", "mlflow"}
ASKING = """
import sys
sys.argv = ["artifact-proxy", "ls"]
from app.__main__ import main
assert main() == 0
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
print(*sorted(name for name in sys.modules if name.startswith("app.")), file=sys.stderr)
"""


def test_a_command_imports_nothing_of_the_server(server: Server) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", ASKING],
        env=clean_environment() | {"ARTIFACT_PROXY_SERVER": server.url},
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    imported, of_the_server = (set(line.split()) for line in asked.stderr.splitlines())
    assert {"artifact_proxy", "urllib3"} <= imported
    assert imported & FOREIGN == set()
    assert of_the_server == {"app.__main__"}


def test_the_server_knows_all_commands() -> None:
    assert set(COMMANDS) == CLIENT_COMMANDS


def test_the_help_of_the_server_names_them() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "app", "--help"], capture_output=True, text=True, env=clean_environment()
    )
    told = " ".join(asked.stdout.split())
    assert "What clients use is `artifact-proxy put`, get, ls, cat, rm, stat, url and completion;" in told


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_each_has_help_with_an_example(run: Run, command: str) -> None:
    told = run(command, "--help")
    assert (told.status, told.err) == (0, "")
    assert told.out.startswith(f"usage: artifact-proxy {command} ")
    assert f"artifact-proxy {command}" in told.out.partition("Examples:")[2]
    assert COMMANDS[command] in " ".join(parser(None).format_help().split())


def test_options_may_stand_anywhere(run: Run, folder: str, place: Path) -> None:
    (place / "-a").write_bytes(b"1")
    assert run("put", "./-a", "--quiet", f"{folder}/", "--jobs", "1").status == 0
    assert run("ls", "-q", "-l", folder, "--json").out.count("\n") == 1
    assert run("get", f"{folder}/-a", "-q", "here").status == 0
    assert (place / "here").read_bytes() == b"1"
