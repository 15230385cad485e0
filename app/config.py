"""Where the values of the settings come from, and what is said of those that cannot be used.

Values are taken, field by field, from the first of these that has one: flag, ARTIFACT_PROXY_...
variable, the variable that users know from elsewhere (MLflow, AWS), config file, default.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from app.fields import known_as, without_password
from app.settings import ENV_PREFIX, Settings, settings_class

CONFIG_VARIABLE = ENV_PREFIX + "CONFIG"


class ConfigurationError(Exception):
    """The server cannot start so: one sentence with the name, the value and the remedy."""


@dataclass(frozen=True, slots=True)
class Loaded:
    settings: Settings
    origins: Mapping[str, str]
    """For each field, where its value came from."""

    def name_used(self, field: str) -> str:
        """What the user would call the field, having set it where it was set."""
        origin = self.origins[field]
        return flag_name(field) if origin == "default" else origin

    def refused(self, field: str, reason: str) -> ConfigurationError:
        """The error for a value that cannot be used for `reason`."""
        model_field = type(self.settings).model_fields[field]
        value = "" if _is_secret(model_field) else f"={without_password(getattr(self.settings, field))!r}"
        return ConfigurationError(f"{self.name_used(field)}{value} cannot be used: {reason}.")

    def printed(self) -> str:
        """The effective configuration as TOML, each line with its origin; secrets are redacted."""
        lines = []
        for name in type(self.settings).model_fields:
            value = getattr(self.settings, name)
            shown = "**********" if isinstance(value, SecretStr) and value else without_password(value)
            line = f"{name} = {_toml(shown)}" if value is not None else f"# {name} is not set"
            lines.append(f"{line}  # {self.origins[name]}")
        return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    # A JSON string is a TOML basic string too, but for one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def load(flags: Mapping[str, Any], config_file: str | None) -> Loaded:
    """The settings from `flags` (by field name), the environment and `config_file`.

    Raises `ConfigurationError`.
    """
    model = settings_class()
    _refuse_mistyped_variables(model)
    given: dict[str, Any] = {}
    origins = dict.fromkeys(model.model_fields, "default")
    for values, origin in _sources(model, flags, config_file):
        for name, value in values.items():
            if name not in given:
                given[name] = value
                origins[name] = origin(name)
    try:
        return Loaded(model(**given), origins)
    except ValidationError as error:
        raise ConfigurationError(_explain(error, model, origins)) from None


def _sources(
    model: type[Settings], flags: Mapping[str, Any], config_file: str | None
) -> Iterator[tuple[Mapping[str, Any], Callable[[str], str]]]:
    """The values that each source has by field name, and how it calls the field; best first."""
    yield flags, flag_name
    yield EnvSettingsSource(model)(), variable_name
    known = {
        name: variable
        for name, field in model.model_fields.items()
        for variable in reversed(known_as(field))
        if os.environ.get(variable)
    }
    yield {name: os.environ[variable] for name, variable in known.items()}, known.__getitem__
    if config_file is not None:
        yield _read_file(model, config_file), lambda field: f"{field} in {config_file}"


def flag_name(field: str) -> str:
    return "--" + field.replace("_", "-")


def variable_name(field: str) -> str:
    return ENV_PREFIX + field.upper()


def _read_file(model: type[Settings], config_file: str) -> Mapping[str, Any]:
    try:
        values = tomllib.loads(Path(config_file).read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"The configuration file {config_file!r} cannot be read ({error.strerror}); "
            f"correct --config or {CONFIG_VARIABLE}."
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"The configuration file {config_file!r} is not TOML: {error}.") from None
    for key, value in values.items():
        if key not in model.model_fields:
            close = get_close_matches(key, model.model_fields, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see --help for the keys."
            raise ConfigurationError(f"{key!r} in {config_file} is no setting; {hint}")
        if isinstance(value, bool) and model.model_fields[key].annotation is not bool:
            raise ConfigurationError(f"{key} in {config_file} is {_toml(value)}, which is no value for it.")
    return values


def _refuse_mistyped_variables(model: type[Settings]) -> None:
    """A variable that is nearly one of ours. Others may be the client's, or Kubernetes' for a Service."""
    known = [variable_name(field) for field in model.model_fields]
    for name in os.environ:
        if name.startswith(ENV_PREFIX) and name not in {*known, CONFIG_VARIABLE}:
            for close in get_close_matches(name, known, n=1, cutoff=0.9):
                raise ConfigurationError(f"{name} in the environment is no setting; did you mean {close}?")


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in {field.annotation, *get_args(field.annotation)}


def _explain(error: ValidationError, model: type[Settings], origins: Mapping[str, str]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    field = model.model_fields[name]
    secret = _is_secret(field)
    value = "" if secret else f"={without_password(first['input'])!r}"
    reason = first["msg"].removeprefix("Value error, ")
    message = f"{origins[name]}{value} cannot be used: {reason}. It is: {field.description}"
    if str(first["input"]).startswith("tcp://") and not secret:
        message += (
            " Kubernetes sets variables of this name for a Service called artifact-proxy; "
            "set enableServiceLinks: false in the pod."
        )
    return message
