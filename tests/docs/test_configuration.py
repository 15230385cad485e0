"""The table of settings and the example configuration are complete, and tell the defaults."""

from __future__ import annotations

import re
import tomllib

from pydantic import SecretStr

from app import config
from app.fields import known_as
from app.settings import settings_class
from tests.support.documents import read


def test_the_table_of_settings_is_complete_and_has_the_defaults() -> None:
    rows = {
        match[1]: (match[2], match[3])
        for match in re.finditer(
            r"^\| `(--[a-z0-9-]+)` \| (.*?) \| (.*?) \|", read("docs/configuration.md"), re.MULTILINE
        )
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
    values = tomllib.loads(read("config/artifact-proxy.toml"))
    fields = settings_class().model_fields
    defaults = {name: field.default for name, field in fields.items()}
    assert values == {
        name: str(value) if isinstance(value, SecretStr) else value for name, value in defaults.items()
    }
