"""The command: its help, and the configuration that it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr

from app import __version__, config
from app.cli import main
from app.fields import known_as
from app.settings import settings_class
from app.storage import registry

pytestmark = pytest.mark.usefixtures("no_variables")


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

    @pytest.mark.parametrize("name", settings_class().model_fields)
    def test_it_explains_each_setting(self, text: str, name: str) -> None:
        field = settings_class().model_fields[name]
        entries = [" ".join(entry.split()) for entry in re.split(r"\n  (?=--)", text)]
        [entry] = [entry for entry in entries if re.match(rf"{config.flag_name(name)}[ ,]", entry)]
        assert field.description
        assert field.description in entry
        shown = str(field.default).lower() if field.annotation is bool else str(field.default) or "none"
        assert f"(default: {shown})" in entry
        variables = [f"ARTIFACT_PROXY_{name.upper()}", *known_as(field)]
        assert f"[{', '.join(variables)}]" in entry

    def test_it_knows_the_name_that_mlflow_uses(self, text: str) -> None:
        # Python 3.13 shows what the flags want only once.
        assert re.search(r"--default-artifact-root( ROOT)?, --artifacts-destination ROOT", text)

    def test_it_explains_what_is_no_setting(self, text: str) -> None:
        for part in (
            "--config FILE",
            "ARTIFACT_PROXY_CONFIG",
            "--version",
            "serve",
            "check: try",
            "config: print",
        ):
            assert part in text

    def test_it_says_which_source_wins(self, text: str) -> None:
        assert re.search("flag.*ARTIFACT_PROXY_.*MLflow.*AWS.*file.*default", text.splitlines()[-1])


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
        settings_class.cache_clear()
        try:
            text = printed(capsys, "--help")
            assert "--region" in text
            assert "100% optional. (default: none) [ARTIFACT_PROXY_REGION]" in " ".join(text.split())
            shown = printed(capsys, "config", "--region", "eu", "--secret", "very-secret")
        finally:
            settings_class.cache_clear()
    assert 'region = "eu"  # --region' in shown
    assert "very-secret" not in shown


def test_a_flag_can_allow_again_what_a_variable_forbids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTIFACT_PROXY_NO_DELETE", "true")
    assert "no_delete = true  # ARTIFACT_PROXY_NO_DELETE" in printed(capsys, "config")
    assert "no_delete = false  # --no-delete" in printed(capsys, "config", "--allow-delete")
