"""The README's commands, tables and example configuration are true."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import config
from app.fields import known_as
from app.settings import settings_class
from tests.support.server import Server

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
TOKENS = re.findall(r"^artifact-proxy (token new .*)$", README, re.MULTILINE)


def test_there_are_curl_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("script", EXAMPLES)
def test_every_curl_example_works(
    serve: Callable[..., Server], need: Callable[[str], str], tmp_path: Path, script: str
) -> None:
    need("curl")
    need("openssl")
    server = serve(*access_flags(tmp_path) if ".token" in script else ())
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 100)
    commands = script.replace("http://127.0.0.1:5500", server.url).replace("curl ", "curl --fail -sS ")
    assert server.url in commands
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, capture_output=True, check=False
    )
    assert result.returncode == 0, result.stderr.decode()


def access_flags(directory: Path) -> tuple[str, str]:
    """Those of a server for the tokens that the README makes, which are made here."""
    for command in TOKENS:
        subprocess.run([sys.executable, "-m", "app", *shlex.split(command)], cwd=directory, check=True)
    return "--access-file", str(directory / "access.toml")


def test_an_example_needs_a_token() -> None:
    assert [script for script in EXAMPLES if ".token" in script]
    assert len(TOKENS) == 2


def test_the_table_of_settings_is_complete_and_has_the_defaults() -> None:
    rows = {
        match[1]: (match[2], match[3])
        for match in re.finditer(r"^\| `(--[a-z0-9-]+)` \| (.*?) \| (.*?) \|", README, re.MULTILINE)
    }
    assert rows.pop("--config")
    fields = settings_class().model_fields
    assert set(rows) == {config.flag_name(name) for name in fields}
    for name, field in fields.items():
        variables, default = rows[config.flag_name(name)]
        assert re.findall(r"`(\w+)`", variables) == [config.variable_name(name), *known_as(field)]
        shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
        assert default == (f"`{shown}`" if shown else "none")


def test_the_example_configuration_has_every_setting_at_its_default() -> None:
    values = tomllib.loads((ROOT / "config" / "artifact-proxy.toml").read_text("utf-8"))
    fields = settings_class().model_fields
    defaults = {name: field.default for name, field in fields.items()}
    assert values == {
        name: str(value) if isinstance(value, SecretStr) else value for name, value in defaults.items()
    }
