"""Settings: one class. Every field is at once a flag, an environment variable and a key of a file.

Values are taken, field by field, from the first of these that has one: flag, ARTIFACT_PROXY_...
variable, the variable that users know from elsewhere (MLflow, AWS), config file, default.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, cast, get_args

from pydantic import Field, SecretStr, ValidationError, create_model, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.fields import KnownAs, known_as, without_password
from app.storage import registry

ENV_PREFIX = "ARTIFACT_PROXY_"
CONFIG_VARIABLE = ENV_PREFIX + "CONFIG"


class ConfigurationError(Exception):
    """The server cannot start so: one sentence with the name, the value and the remedy."""


_OWN_ROUTES = {"api", "ajax-api", "v1", "docs", "openapi.json", "health", "version"}
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")


def _prefix(value: str, example: str, *, beside_routes: bool = False) -> str:
    """A path of whole segments without a final slash. Raises `ValueError` for what is none.

    With `beside_routes` it may not begin as a route of the server does.
    """
    value = value.rstrip("/")
    if not _PREFIX.fullmatch(value):
        raise ValueError(
            "it must be empty, or a path of letters, digits and '.', '_', '~', '-' that starts with a slash "
            f"and has no '.' or '..' as a segment, such as {example}"
        )
    if beside_routes and value and value.split("/")[1] in _OWN_ROUTES:
        raise ValueError(f"routes of the server itself begin so; choose another path, such as {example}")
    return value


class Settings(BaseSettings):
    """The server's settings. Use `load`, which adds those of the storage backends."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    default_artifact_root: Annotated[str, KnownAs("MLFLOW_ARTIFACTS_DESTINATION")] = Field(
        "./artifacts",
        description="Where the artifacts are kept: a directory, a file: URL, or s3://bucket/path. A relative "
        "path is resolved once, at the start. MLflow calls this --artifacts-destination.",
    )
    host: Annotated[str, KnownAs("MLFLOW_HOST")] = Field(
        "127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all."
    )
    port: Annotated[int, KnownAs("MLFLOW_PORT")] = Field(
        5500, ge=0, le=65535, description="TCP port to listen on; 0 for any free one."
    )
    workers: Annotated[int, KnownAs("MLFLOW_WORKERS")] = Field(
        1, ge=1, le=256, description="Number of server processes."
    )
    static_prefix: Annotated[str, KnownAs("MLFLOW_STATIC_PREFIX")] = Field(
        "", description="Path below which all routes answer as well, such as /mlflow; empty for none."
    )
    root_path: str = Field(
        "",
        description="Path at which a reverse proxy shows the server, if it takes that off before it sends "
        "requests on, such as /artifacts; empty for none.",
    )
    forwarded_allow_ips: Annotated[str, KnownAs("FORWARDED_ALLOW_IPS")] = Field(
        "127.0.0.1,::1",
        description="Addresses and networks of the reverse proxies whose X-Forwarded-For and -Proto are "
        "believed, separated by commas; * for all.",
    )
    accel_redirect: str = Field(
        "",
        description="Location at which nginx has the files of a local root, such as /_files: downloads "
        "through it are answered with X-Accel-Redirect, and it sends the files itself. Empty to send all "
        "from here.",
    )
    read_only: bool = Field(False, description="Refuse uploads and deletions with 403.")
    no_delete: bool = Field(False, description="Refuse deletions with 403.")
    presign: bool = Field(
        False,
        description="Let clients transfer straight to and from storage, by presigned URLs, where the root is "
        "in S3. They must be able to reach it.",
    )
    presign_redirect_above: int = Field(
        0,
        ge=0,
        description="Redirect plain downloads of more bytes than this to a presigned URL; 0 for never. Needs "
        "--presign.",
    )
    storage_threads: int = Field(
        32, ge=1, le=1024, description="Number of threads per worker that wait for storage."
    )
    sweep_interval: float = Field(
        600,
        gt=0,
        description="Seconds between two searches for what uploads of crashed servers left behind.",
    )
    keep_alive: int = Field(75, ge=1, description="Seconds that an idle connection is kept open.")
    access_log: bool = Field(True, description="Log one line for each request.")

    @field_validator("host")
    @classmethod
    def _possible_host(cls, value: str) -> str:
        try:
            value.encode("idna")
        except UnicodeError:
            raise ValueError("it is no host name; choose another address, such as 127.0.0.1") from None
        return value

    @field_validator("static_prefix")
    @classmethod
    def _whole_segments(cls, value: str) -> str:
        return _prefix(value, "/mlflow", beside_routes=True)

    @field_validator("root_path")
    @classmethod
    def _shown_at(cls, value: str) -> str:
        return _prefix(value, "/artifacts")

    @field_validator("accel_redirect")
    @classmethod
    def _location(cls, value: str) -> str:
        location = _prefix(value, "/_files", beside_routes=True)
        if value and not location:
            raise ValueError("the server itself is there; choose another path, such as /_files")
        return location

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _addresses(cls, value: str) -> str:
        value = value.strip()
        for address in value.split(",") if value not in {"", "*"} else []:
            try:
                ip_network(address.strip())
            except ValueError as error:
                raise ValueError(f"{error}; give addresses such as 10.0.0.1 or 10.0.0.0/8, or *") from None
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what it is given: `load` reads the sources, to know where each value is from."""
        return (init_settings,)


@cache
def settings_class() -> type[Settings]:
    """`Settings` with the fields of every backend's settings model."""
    # Settings comes last in the bases, so that its fields come first.
    bases: tuple[type[Any], ...] = (*registry.settings_models(), Settings)
    return cast(type[Settings], create_model("Settings", __base__=bases))


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
