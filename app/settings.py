"""Settings: one class. Every field is at once a flag, an environment variable and a key of a file."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, create_model
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app import values
from app.fields import KnownAs
from app.storage import registry

ENV_PREFIX = "ARTIFACT_PROXY_"
_DAY = 86_400


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
    host: Annotated[str, KnownAs("MLFLOW_HOST"), AfterValidator(values.listening_host)] = Field(
        "127.0.0.1", min_length=1, description="Address to listen on; 0.0.0.0 for all."
    )
    port: Annotated[int, KnownAs("MLFLOW_PORT")] = Field(
        5500, ge=0, le=65535, description="TCP port to listen on; 0 for any free one."
    )
    workers: Annotated[int, KnownAs("MLFLOW_WORKERS")] = Field(
        1, ge=1, le=256, description="Number of server processes."
    )
    static_prefix: Annotated[str, KnownAs("MLFLOW_STATIC_PREFIX"), AfterValidator(values.static_prefix)] = (
        Field("", description="Path below which all routes answer as well, such as /mlflow; empty for none.")
    )
    root_path: Annotated[str, AfterValidator(values.root_path)] = Field(
        "",
        description="Path at which a reverse proxy shows the server, if it takes that off before it sends "
        "requests on, such as /artifacts; empty for none.",
    )
    forwarded_allow_ips: Annotated[str, KnownAs("FORWARDED_ALLOW_IPS"), AfterValidator(values.addresses)] = (
        Field(
            "127.0.0.1,::1",
            description="Addresses and networks of the reverse proxies whose X-Forwarded-For and -Proto are "
            "believed, separated by commas; * for all.",
        )
    )
    accel_redirect: Annotated[str, AfterValidator(values.location)] = Field(
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
    allowed_hosts: Annotated[str, AfterValidator(values.host_names)] = Field(
        "",
        description="Host names, without ports, by which clients may call the server, separated by commas; "
        "*.example.com for all below, * for any. Empty for any with an --access-file that has no "
        "[proxy_header], and else for localhost, --host and IP addresses.",
    )
    cors_allowed_origins: Annotated[str, AfterValidator(values.origins)] = Field(
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
        description="Bytes of the largest JSON body; with --presign, what completes a multipart upload may "
        "have 32 times as many.",
    )
    max_transfers: int = Field(
        512,
        ge=0,
        description="Uploads, downloads, listings and deletions that a worker has at once; more wait for "
        "--admission-timeout. 0 for any.",
    )
    transfer_memory: int = Field(
        512 * 1024**2,
        ge=16 * 1024**2,
        description="Bytes per worker for what all transfers hold between client and storage; what has no "
        "room waits for --admission-timeout.",
    )
    admission_timeout: float = Field(
        30,
        ge=0,
        le=_DAY,
        description="Seconds that a request waits for a place, for room in memory, or for a thread, before "
        "it is answered 503.",
    )
    max_connections: int = Field(
        0,
        ge=0,
        description="Connections that a worker has at once; 0 for as many as its limit of open files allows, "
        "4096 at most.",
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
        60, gt=0, le=_DAY, description="Seconds that a client may fall behind --min-transfer-rate."
    )
    max_target_size: int = Field(
        8192, ge=1024, le=65536, description="Bytes of the longest request target, before 414."
    )
    max_header_size: int = Field(
        131072,
        ge=8192,
        le=1048576,
        description="Bytes of the largest request head, before 431; each header counts for 32 more.",
    )
    quotas: Annotated[str, AfterValidator(values.quotas)] = Field(
        "",
        description="JSON object with the bytes that may lie below prefixes of a local root, such as "
        '{"users/": 1000000000}; empty for none.',
    )
    ui: bool = Field(
        True, description="Show artifacts to people in a page at /ui, and keep them signed in there."
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
    drain_delay: float = Field(
        0,
        ge=0,
        le=_DAY,
        description="Seconds after SIGTERM in which new requests are still served, while /ready says no.",
    )
    drain_timeout: float = Field(
        60,
        ge=0,
        le=_DAY,
        description="Seconds that running transfers have left after that, before they are aborted.",
    )
    access_log: bool = Field(True, description="Log one line for each request.")
    log_format: Literal["console", "json"] = Field(
        "console",
        description="How the server logs: 'console', lines for people; 'json', one object a line, for "
        "programs.",
    )

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
