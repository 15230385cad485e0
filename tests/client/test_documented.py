"""docs/client.md: its commands and its program work as they stand, in their order; its tables are true."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import artifact_proxy
from artifact_proxy import Client, errors
from artifact_proxy.command import exits
from tests.support.documents import SERVER, blocks, read
from tests.support.quick_starts import terminal
from tests.support.server import Server

PAGE = read("docs/client.md")


def test_every_command_and_the_program_work(serve: Callable[..., Server], place: Path) -> None:
    (place / "model.bin").write_bytes(bytes(range(256)) * 100)
    server = serve()
    commands = "".join(block.text for block in blocks(PAGE, "bash")).replace(SERVER, server.url)
    assert commands.count("artifact-proxy") > 20
    environment = terminal(HOME=str(place))
    made = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "0.91\n0.93\n" in made.stdout
    assert "10 bytes" in made.stdout
    (program,) = [block.text.replace(SERVER, server.url) for block in blocks(PAGE, "python")]
    assert server.url in program
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=place, env=environment, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert "There is no artifact 'models/none'. 404 " in made.stdout
    assert (place / "copies" / "first" / "1" / "accuracy.txt").read_text() == "0.91\n"


def test_every_exit_status_is_told_of() -> None:
    told = {int(status) for status in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ArtifactError)
    ]
    possible = {exits.status_of(kind("x")) for kind in kinds}
    assert told == possible | {exits.OK, exits.INTERRUPTED, exits.CLOSED_OUTPUT, exits.TERMINATED}


def test_every_method_and_error_is_told_of() -> None:
    methods = [name for name in vars(Client) if not name.startswith("_")]
    assert len(methods) > 10
    inner = {"located", "close"}
    assert [name for name in methods if name not in inner and f"`{name}(" not in PAGE] == []
    kinds = [name for name in artifact_proxy.__all__ if isinstance(getattr(artifact_proxy, name), type)]
    assert [name for name in kinds if f"`{name}`" not in PAGE and f"`{name}(" not in PAGE] == []
