"""`artifact-proxy token new` beside others and on full disks: none is lost, nor kept if nobody saw it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.cli import main

ALLOW = ("--allow", "all:")
LIMITED = """
import resource, sys
from app.cli import main
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, most))
sys.exit(main(sys.argv[1:]))
"""
"""In a process of its own, as the limit is one for all files that a process writes."""


def test_all_who_add_to_a_file_at_once_get_in(tmp_path: Path) -> None:
    file = tmp_path / "access.toml"

    def add(number: int) -> int:
        given = str(tmp_path / f"{number}.token")
        return main(["token", "new", f"n{number}", *ALLOW, "--access-file", str(file), "--token-file", given])

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(add, range(24))) == {0}
    assert sorted(token["name"] for token in tomllib.loads(file.read_text())["tokens"]) == sorted(
        f"n{number}" for number in range(24)
    )


@pytest.mark.parametrize("output", ["/dev/full", "&-"], ids=["full", "closed"])
@pytest.mark.parametrize("flag", ["--access-file", "--token-file"])
def test_what_cannot_be_shown_leaves_no_file(tmp_path: Path, flag: str, output: str) -> None:
    command = [sys.executable, "-m", "app", "token", "new", "ci", *ALLOW, flag, str(tmp_path / "file")]
    ended = subprocess.run(
        ["bash", "-c", f"exec {shlex.join(command)} >{output}"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("artifact-proxy: What was made cannot be shown")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flag", ["--access-file", "--token-file"])
def test_of_a_file_that_a_full_disk_does_not_take_nothing_is_left(tmp_path: Path, flag: str) -> None:
    file = tmp_path / "file"
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, "token", "new", "ci", *ALLOW, flag, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert f"file {str(file)!r} cannot be written (File too large)." in ended.stderr
    assert ended.stdout == ""
    assert os.listdir(tmp_path) == []
