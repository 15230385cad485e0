"""Configuration files, and what is said of a configuration that cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.config import ConfigurationError, load


def write(folder: Path, **values: object) -> str:
    """A configuration file with these keys; JSON is TOML too for values as plain as ours."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return written(folder, "\n".join(lines))


def written(folder: Path, text: str | bytes, name: str = "settings.toml") -> str:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(file)


def refusal(flags: dict[str, Any], config_file: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(flags, config_file)
    message = str(caught.value)
    assert "\n" not in message
    return message


def plain(value: object) -> object:
    """A setting as it was given, also where it is secret."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
