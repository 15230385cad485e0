"""Reads the Dockerfile and .dockerignore, as far as they go, and builds the image natively."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from tests.support.server import clean_environment

ROOT = Path(__file__).parent.parent.parent
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH in the base image."""


@dataclass(frozen=True)
class Instruction:
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of an instruction in shell form, without its flags."""
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    @property
    def flags(self) -> dict[str, str]:
        words = [word[2:].partition("=") for word in shlex.split(self.text) if word.startswith("--")]
        return {name: value for name, _, value in words}

    @property
    def command(self) -> list[str]:
        """Of an instruction in exec form; raises ValueError for any other."""
        command: list[str] = json.loads(self.text[self.text.index("[") :])
        return command

    @property
    def assignments(self) -> dict[str, str]:
        """Of ARG, ENV and LABEL, before variables are filled in."""
        return {name: value for name, _, value in (word.partition("=") for word in self.words)}


@dataclass(frozen=True)
class Stage:
    base: str
    instructions: list[Instruction]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def the(self, name: str) -> Instruction:
        """The only instruction of that name."""
        (found,) = self.all(name)
        return found

    def assigned(self, name: str, variables: Mapping[str, str]) -> dict[str, str]:
        """What all instructions of that name assign, with `variables` and each other's filled in."""
        result: dict[str, str] = {}
        for instruction in self.all(name):
            known = {**variables, **result}
            for key, value in instruction.assignments.items():
                result[key] = re.sub(r"\$\{?(\w+)\}?", lambda found: known[found[1]], value)  # noqa: B023
        return result


def stages(text: str | None = None) -> list[Stage]:
    """The stages of the Dockerfile, or of `text`."""
    lines = (ROOT / "Dockerfile").read_text() if text is None else text
    lines = re.sub(r"^\s*#.*\n", "", lines, flags=re.MULTILINE)
    found: list[Stage] = []
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            found.append(Stage(rest.split()[0], []))
        elif name:
            found[-1].instructions.append(Instruction(name, rest.strip()))
    return found


def build_context(root: Path = ROOT) -> list[str]:
    """The files below `root` that .dockerignore lets through.

    A directory that is left out is not looked into: no pattern here lets in what is below one.
    """
    patterns = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in {"", "#"}
    ]
    assert not any(pattern.startswith("!") and "/" in pattern for pattern in patterns), patterns
    return sorted(_let_through(root, PurePosixPath(), patterns))


def _let_through(root: Path, below: PurePosixPath, patterns: list[str]) -> Iterator[str]:
    for entry in os.scandir(root / below):
        path = below / entry.name
        if _ignored(path, patterns):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _let_through(root, path, patterns)
        else:
            yield str(path)


def _ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    """The last pattern that matches the path, or a directory above it, decides."""
    ignored = False
    names = [str(parent) for parent in [path, *path.parents][:-1]]
    for pattern in patterns:
        form = re.escape(pattern.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(form, name) for name in names):
            ignored = not pattern.startswith("!")
    return ignored


@dataclass(frozen=True)
class Image:
    """What the Dockerfile builds, with every directory of the image below `directory`."""

    directory: Path

    @property
    def environment(self) -> Path:
        """The server with all that it needs, in a virtual environment of this machine's Python."""
        return Path(self.placed("/opt/artifact-proxy"))

    @cached_property
    def final(self) -> Stage:
        return stages()[-1]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a container."""
        assigned = self.final.assigned("ENV", {"PATH": BASE_PATH})
        return {"PATH": BASE_PATH, "HOME": "/"} | {name: self.placed(text) for name, text in assigned.items()}

    @property
    def entrypoint(self) -> list[str]:
        return self.final.the("ENTRYPOINT").command

    @property
    def health_check(self) -> list[str]:
        return self.final.the("HEALTHCHECK").command

    def placed(self, text: str) -> str:
        """`text` with the image's own directories where they are here."""
        return re.sub(r"(?<![\w./-])/(?=(opt|build|srv|etc/artifact-proxy)\b)", f"{self.directory}/", text)


def build(directory: Path) -> Image:
    """Runs the build stage in `directory`, which is empty, with nothing but what the build context has."""
    image = Image(directory)
    context = directory / "context"
    for file in build_context():
        (context / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, context / file)
    (directory / "opt").mkdir()
    programs = directory / "programs"
    programs.mkdir()
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)

    stage = stages()[0]
    foreign = ("COVERAGE_", "PYTHON", "VIRTUAL_ENV")
    variables = {name: value for name, value in clean_environment().items() if not name.startswith(foreign)}
    variables |= {"PATH": f"{programs}:{BASE_PATH}", "HOME": str(directory)}
    place = directory
    for instruction in stage.instructions:
        if instruction.name == "ENV":
            variables |= instruction.assignments
        elif instruction.name == "WORKDIR":
            place = Path(image.placed(instruction.text))
            place.mkdir(parents=True, exist_ok=True)
        elif instruction.name == "COPY":
            *sources, target = instruction.words
            for source in sources:
                _copy(context / source, place / target)
        else:
            assert instruction.name == "RUN", (
                f"the build stage has {instruction.name}, which is not understood"
            )
            command = ["/bin/sh", "-c", image.placed(instruction.text)]
            made = subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True)
            assert made.returncode == 0, f"{instruction.text}\n{made.stdout}\n{made.stderr}"
    return image


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target / source.name if target.is_dir() else target)
