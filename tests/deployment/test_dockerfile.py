"""The Dockerfile and .dockerignore, as they are written; tests/deployment/test_image.py builds from them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from app import __version__
from tests.support.dockerfile import ROOT, Instruction, Stage, build_context, stages
from tests.support.programs import installed

PACKAGES = ["app", "artifact_proxy"]
PLAIN_FILES = {"pyproject.toml", "README.md", "LICENSE", "requirements.lock", "requirements-build.lock"}


@pytest.fixture(scope="module")
def build() -> Stage:
    first, _ = stages()
    return first


@pytest.fixture(scope="module")
def final() -> Stage:
    return stages()[-1]


def test_hadolint_finds_nothing_and_is_told_to_overlook_nothing(tmp_path: Path) -> None:
    judged = subprocess.run(
        [installed("hadolint"), "--failure-threshold", "style", ROOT / "Dockerfile"],
        cwd=tmp_path,  # where it finds no settings
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")
    assert "hadolint" not in (ROOT / "Dockerfile").read_text()


class TestBuildContext:
    def test_has_just_what_is_copied(self, build: Stage) -> None:
        sources = {word for copy in build.all("COPY") for word in copy.words[:-1]}
        assert sources == PLAIN_FILES | set(PACKAGES)
        context = {file for file in build_context() if file.split("/")[0] not in PACKAGES}
        assert context == PLAIN_FILES

    @pytest.mark.parametrize("package", PACKAGES)
    def test_has_all_files_of_a_package(self, package: str) -> None:
        found = [file for file in (ROOT / package).rglob("*") if file.is_file()]
        kept = {str(file.relative_to(ROOT)) for file in found if "__pycache__" not in file.parts}
        assert {file for file in build_context() if file.startswith(f"{package}/")} == kept

    def test_leaves_out_secrets_histories_and_leftovers(self, tmp_path: Path) -> None:
        kept = ["app/main.py", "app/storage/base.py", "artifact_proxy/py.typed", "pyproject.toml"]
        left_out = [
            ".env",
            ".git/config",
            ".venv/bin/python",
            ".dockerignore",
            "Dockerfile",
            "app/__pycache__/main.pyc",
            "app/storage/__pycache__/base.pyc",
            "artifacts/model.bin",
            "config/artifact-proxy.env",
            "config/app/key.pem",
            "tests/conftest.py",
        ]
        for file in kept + left_out:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        assert build_context(tmp_path) == kept


class TestBuild:
    def test_installs_only_wheels_with_known_hashes(self, build: Stage) -> None:
        commands = [part for run in build.all("RUN") for part in run.text.split("&&")]
        installs = [command for command in commands if " install " in command]
        offline = [command for command in installs if "--no-deps --no-index" in command]
        hashed = [command for command in installs if "--only-binary :all: --require-hashes" in command]
        assert (len(installs), len(offline), len(hashed)) == (3, 1, 2)
        assert "--no-build-isolation" in next(command for command in commands if " wheel " in command)

    def test_uses_the_python_of_the_image(self, build: Stage, final: Stage) -> None:
        assert build.base == final.base
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", final.base)
        assert _labels(final)["base.name"] == f"docker.io/library/{final.base}"


class TestImage:
    def test_takes_from_the_build_the_environment_and_nothing_else(self, final: Stage) -> None:
        copy = final.the("COPY")
        assert copy.flags == {"from": "build"}
        assert copy.words == ["/opt/artifact-proxy", "/opt/artifact-proxy"]
        assert final.all("ADD") == []

    def test_runs_nothing_but_install_when_it_is_built(self, final: Stage) -> None:
        """Which Debian always has."""
        assert [run.words[0] for run in final.all("RUN")] == ["install"]

    def test_runs_as_a_user_in_numbers_who_is_not_root(self, final: Stage) -> None:
        user = final.the("USER").text
        assert user == "10001:10001"
        names = [instruction.name for instruction in final.instructions]
        assert names.index("USER") > max(place for place, name in enumerate(names) if name in {"RUN", "COPY"})

    def test_starts_the_server_without_a_shell(self, final: Stage) -> None:
        assert final.the("ENTRYPOINT").command == ["artifact-proxy"]
        assert final.all("CMD") == []

    def test_has_a_health_check_without_a_shell(self, final: Stage) -> None:
        check = final.the("HEALTHCHECK")
        assert check.command == ["python", "-m", "app.health"]
        assert " CMD [" in check.text

    def test_offers_the_port_that_the_server_listens_on(self, final: Stage) -> None:
        assigned = final.assigned("ENV", {"PATH": ""})
        assert final.the("EXPOSE").text == assigned["ARTIFACT_PROXY_PORT"]
        assert assigned["ARTIFACT_PROXY_HOST"] == "0.0.0.0"  # noqa: S104 - in a container's own network

    def test_says_what_it_is(self, final: Stage) -> None:
        labels = _labels(final)
        assert labels["version"] == __version__
        assert labels["licenses"] == "Apache-2.0"
        assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
        assert set(labels) == {"title", "description", "licenses", "version", "revision", "base.name"}
        assert all(labels.values())

    def test_is_told_no_secret(self) -> None:
        given = [
            name
            for stage in stages()
            for kind in ("ARG", "ENV")
            for each in stage.all(kind)
            for name in each.assignments
        ]
        assert "ARTIFACT_PROXY_PORT" in given
        suspicious = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL|^AWS_", re.IGNORECASE)
        assert [name for name in given if suspicious.search(name)] == []


def test_the_reader_understands_what_it_reads() -> None:
    read = stages('FROM a AS b\n# no\nENV X=1 \\\n    # nor this\n    Y="2 $X"\nFROM c\nCMD ["d"]\n')
    assert [stage.base for stage in read] == ["a", "c"]
    assert read[0].assigned("ENV", {"X": "0"}) == {"X": "1", "Y": "2 0"}
    assert read[1].instructions == [Instruction("CMD", '["d"]')]
    assert read[1].the("CMD").command == ["d"]


def _labels(stage: Stage) -> dict[str, str]:
    """By their names below org.opencontainers.image."""
    labels = stage.assigned("LABEL", stage.assigned("ARG", {}))
    return {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
