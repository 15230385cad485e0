"""Settings: one class. Every field is at once a flag, an environment variable and a key of a file."""

from __future__ import annotations

import json
import re
from functools import cache
from ipaddress import ip_network
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import Field, create_model, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import InvalidPath
from app.fields import KnownAs
from app.paths import ArtifactPath
from app.storage import registry

ENV_PREFIX = "ARTIFACT_PROXY_"

_OWN_ROUTES = {"api", "ajax-api", "v1", "docs", "openapi.json", "health", "version"}
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]")
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


def names(value: str) -> list[str]:
    """The members of a list that is written with commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


def quotas_of(value: str) -> dict[ArtifactPath, int]:
    """The bytes that may lie below each prefix. Raises `ValueError`."""
    try:
        written = json.loads(value) if value else {}
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(written, dict):
        raise ValueError('it is JSON, but no object; write {"users/": 1000000000}')
    quotas = {}
    for prefix, size in written.items():
        try:
            path = ArtifactPath.parse_directory(prefix)
        except InvalidPath as error:
            raise ValueError(str(error).rstrip(".")) from None
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"the quota of {prefix!r} is no number of bytes")
        quotas[path] = size
    return quotas


class Settings(BaseSettings):
    """The server's settings. Use `app.config.load`, which adds those of the storage backends."""

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
    access_file: str = Field(
        "",
        description="TOML file with who is known, how, and what they may do; read again at SIGHUP. Empty to "
        "serve everybody.",
    )
    insecure_no_auth: bool = Field(
        False, description="Serve everybody who reaches a --host that is not this machine alone."
    )
    allowed_hosts: str = Field(
        "",
        description="Host names, without ports, by which clients may call the server, separated by commas; "
        "*.example.com for all below, * for any. Empty for any with an --access-file that has no "
        "[proxy_header], and else for localhost, --host and IP addresses.",
    )
    cors_allowed_origins: str = Field(
        "",
        description="Origins such as https://app.example.com whose pages may use the server from browsers, "
        "separated by commas; empty for none.",
    )
    audit_log: str = Field(
        "",
        description="File for one JSON line for each request: who asked for what, and what came of it; - for "
        "the standard output, empty for none.",
    )
    max_artifact_size: int = Field(
        5 * 1024**4, ge=0, description="Bytes of the largest artifact that is taken; 0 for any."
    )
    max_json_size: int = Field(
        1024**2,
        ge=1024,
        description="Bytes of the largest JSON body; what completes a multipart upload may have 32 times as "
        "many.",
    )
    max_transfers: int = Field(
        512,
        ge=0,
        description="Uploads, downloads, listings and deletions that a worker has at once, before it answers "
        "503; 0 for any.",
    )
    max_transfers_per_identity: int = Field(
        128,
        ge=0,
        description="Those that a worker has for one identity of the --access-file, before it answers 429; 0 "
        "for any.",
    )
    max_requests_per_second: int = Field(
        1000,
        ge=0,
        description="Requests per second that a worker takes from one identity of the --access-file, before "
        "it answers 429; 0 for any.",
    )
    min_transfer_rate: int = Field(
        1024,
        ge=0,
        description="Bytes per second below which a client is given up after --transfer-patience; 0 to wait "
        "for ever.",
    )
    transfer_patience: float = Field(
        60, gt=0, description="Seconds that a client may fall behind --min-transfer-rate."
    )
    max_target_size: int = Field(
        8192, ge=1024, le=65536, description="Bytes of the longest request target, before 414."
    )
    max_header_size: int = Field(
        131072, ge=8192, le=1048576, description="Bytes of the largest request head, before 431."
    )
    quotas: str = Field(
        "",
        description="JSON object with the bytes that may lie below prefixes of a local root, such as "
        '{"users/": 1000000000}; empty for none.',
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

    @field_validator("allowed_hosts")
    @classmethod
    def _host_names(cls, value: str) -> str:
        for name in names(value):
            if not _HOST.fullmatch(name):
                raise ValueError(
                    f"{name!r} is no host name; give names without scheme and port, such as ml.example.com, "
                    "*.example.com or [::1]"
                )
        return value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in names(value):
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or f"{parts.scheme}://{parts.netloc}" != origin:
                raise ValueError(
                    f"{origin!r} is no origin; give scheme, host and port alone, such as "
                    "https://app.example.com"
                )
        return value

    @field_validator("quotas")
    @classmethod
    def _bytes_of_prefixes(cls, value: str) -> str:
        quotas_of(value)
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
