"""The JSON bodies of the HTTP surfaces."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field

from app.api.conditions import entity_tag
from app.identity.permissions import Action
from app.storage.entry import Entry

_ACTIONS = "With `actions=true`: what the caller may do with it, or with some of what is in it."


class Problem(BaseModel):
    """Every error, in MLflow's form."""

    error_code: str = Field(examples=["RESOURCE_DOES_NOT_EXIST"])
    message: str = Field(description="What happened, with which value, and what to do.")
    request_id: str = Field(description="As in the header X-Request-Id, and in the server's logs.")


class ArtifactEntry(BaseModel):
    """One entry of a listing."""

    name: str = Field(description="The last segment of the path.")
    path: str = Field(description="The path below the artifact root.")
    is_dir: bool
    size: int | None = Field(description="Bytes; null for a directory.")
    modified: datetime | None = Field(description="Null for a directory.")
    etag: str | None = Field(description="The ETag with its quotes, as in the header; null for a directory.")
    actions: tuple[Action, ...] = Field((), description=_ACTIONS)

    @classmethod
    def of(cls, entry: Entry) -> ArtifactEntry:
        return cls(
            name=entry.path.name,
            path=str(entry.path),
            is_dir=entry.is_dir,
            size=entry.size,
            modified=entry.modified,
            etag=None if entry.etag is None else entity_tag(entry),
        )


MAX_RESULTS = 10_000
DEFAULT_RESULTS = 1_000


class Listing(BaseModel):
    """One page of a directory's entries, sorted by name; recursive ones by path."""

    path: str = Field(description="The directory below the artifact root; empty for the root.")
    entries: list[ArtifactEntry]
    next_page_token: str | None = Field(description="For the next page; null on the last one.")
    actions: tuple[Action, ...] = Field((), description=_ACTIONS)


class StoredArtifact(BaseModel):
    """The answer to an upload."""

    path: str
    size: int = Field(description="Bytes.")
    etag: str = Field(description="The ETag with its quotes, as in the header.")


class StoredArchive(BaseModel):
    """The answer to an archive."""

    path: str = Field(description="The directory below the artifact root; empty for the root.")
    artifacts: int = Field(description="How many were stored.")
    size: int = Field(description="Bytes of all of them.")


class StoredFile(StoredArtifact):
    """One file of a form."""

    created: bool = Field(description="Whether there was no artifact at its path before.")


class RefusedFile(BaseModel):
    """A file of a form that was not stored."""

    path: str
    error_code: str
    message: str


class StoredForm(BaseModel):
    """The answer to a form."""

    files: list[StoredFile] = Field(description="In the order of the form.")


class Session(BaseModel):
    """Who the caller is."""

    identity: str | None = Field(description="The caller's name; null where nobody is asked.")
    kind: str = Field(
        description="How the caller is known: `token`, `proxy`, an issuer's name, or `anybody`."
    )
    cookie: bool = Field(description="Whether by the session cookie.")


class ServerInfo(BaseModel):
    """What an MLflow client may use beyond plain PUT and GET. It falls back on nothing it is promised."""

    store_type: str | None = Field(None, description="The kind of tracking store: there is none here.")
    workspaces_enabled: bool = False
    trace_archival_enabled: bool = False
    multipart_uploads_enabled: bool = False
    multipart_downloads_enabled: bool = False


class MlflowFile(BaseModel):
    path: str = Field(description="The base name.")
    is_dir: bool
    file_size: int | None = Field(None, description="Bytes; absent for a directory.")


class MlflowFiles(BaseModel):
    """A directory's entries; `{}` where there is nothing to list."""

    files: list[MlflowFile] | None = None


class ReadinessCheck(BaseModel):
    ok: bool
    seconds: float = Field(description="That the check took.")
    message: str


class ReadinessReport(BaseModel):
    """Whether to send requests to this server, and each check by its name."""

    status: Literal["ready", "not ready"]
    checks: dict[str, ReadinessCheck] = Field(description="`storage`, `disk` and `draining`.")


class _MlflowBody(BaseModel):
    # MLflow adds fields from version to version.
    model_config = ConfigDict(extra="ignore")


class MultipartCreate(_MlflowBody):
    path: str = Field(description="Only its base name counts.")
    num_parts: int = Field(1, ge=1, le=10_000)


class MultipartPart(_MlflowBody):
    part_number: int = Field(ge=1, le=10_000)
    etag: str
    url: str | None = None


class MultipartComplete(_MlflowBody):
    path: str
    upload_id: str
    parts: Annotated[list[MultipartPart], FailFast(), Field(max_length=10_000)]


class MultipartCredential(BaseModel):
    url: str = Field(description="Where the part is put, with the method PUT. Secret.")
    part_number: int
    headers: dict[str, str] = Field({}, description="To be sent along with the part.")


class MultipartCreated(BaseModel):
    upload_id: str
    credentials: list[MultipartCredential]


class Presigned(BaseModel):
    url: str = Field(description="Where the artifact can be downloaded, ranges included. Secret.")
    headers: dict[str, str] = Field({}, description="To be sent along.")
    file_size: int = Field(description="Bytes.")


class MultipartAbort(_MlflowBody):
    path: str
    upload_id: str
