"""Every command that the README and the page about the HTTP API show works as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.documents import SERVER, blocks, read
from tests.support.quick_starts import terminal
from tests.support.server import Server

EXAMPLES = [
    pytest.param(block.text, id=f"{document}-{number}")
    for document in ("README.md", "docs/api.md")
    for number, block in enumerate(blocks(read(document), "bash"))
]
TOKENS = re.findall(r"^artifact-proxy (token new .*)$", read("README.md"), re.MULTILINE)


@pytest.mark.parametrize("script", EXAMPLES)
def test_every_command_works(
    serve: Callable[..., Server], need: Callable[[str], str], tmp_path: Path, script: str
) -> None:
    for program in ("curl", "openssl", "unzip"):
        need(program)
    server = serve(*access_flags(tmp_path) if ".token" in script else ())
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 100)
    commands = script.replace(SERVER, server.url).replace("curl ", "curl --fail -sS ")
    assert server.url in commands
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=terminal(),
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()


def access_flags(directory: Path) -> tuple[str, str]:
    """Those of a server for the tokens that the README makes, which are made here."""
    for command in TOKENS:
        subprocess.run([sys.executable, "-m", "app", *shlex.split(command)], cwd=directory, check=True)
    return "--access-file", str(directory / "access.toml")


def test_an_example_needs_a_token() -> None:
    assert [example for example in EXAMPLES if ".token" in str(example.values[0])]
    assert len(TOKENS) == 2
