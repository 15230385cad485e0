"""What makes shells complete the commands."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from artifact_proxy.command.arguments import SHELLS
from tests.support.client_command import Run

COMPLETED = """
source completion.bash
complete -p artifact-proxy >/dev/null
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
COMP_LINE="$*"
COMP_POINT=${#COMP_LINE}
COMP_TYPE=9
"$(complete -p artifact-proxy | sed 's/.* -F \\([^ ]*\\) .*/\\1/')" 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def completed(run: Run, place: Path) -> Path:
    made = run("completion", "bash")
    assert (made.status, made.err) == (0, "")
    (place / "completion.bash").write_text(made.out)
    (place / "model.bin").touch()
    return place


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["artifact-proxy", "co"], {"completion"}),
        (["artifact-proxy", ""], {"put", "get", "ls", "cat", "rm", "stat", "url", "completion"}),
        (["artifact-proxy", "put", "--cr"], {"--create-only"}),
        (["artifact-proxy", "ls", "--rec"], {"--recursive"}),
        (["artifact-proxy", "put", "mod"], {"model.bin"}),
        (["artifact-proxy", "completion", ""], set(SHELLS)),
    ],
)
def test_a_real_bash_completes_commands_options_and_files(
    completed: Path, words: list[str], offered: set[str]
) -> None:
    asked = subprocess.run(
        ["bash", "--norc", "-c", COMPLETED, "bash", *words],
        cwd=completed,
        capture_output=True,
        text=True,
        check=True,
    )
    assert offered <= set(asked.stdout.split())
    assert asked.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_told_of_all_commands(run: Run, shell: str) -> None:
    made = run("completion", shell)
    assert made.status == 0
    for word in ("put", "completion", "recursive", "artifact-proxy"):
        assert word in made.out


def test_other_shells_are_refused(run: Run) -> None:
    assert run("completion", "nushell").status == 2
