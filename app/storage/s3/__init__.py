"""Artifacts as objects in S3, MinIO and other S3-compatible stores, below one prefix of one bucket.

Artifacts are plain objects under their own names; whatever else reads the bucket sees them whole.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, Field, SecretStr, field_validator

from app.fields import KnownAs
from app.storage.s3.parts import MIB
from app.storage.s3.root import S3Root

if TYPE_CHECKING:
    from app.storage.s3.storage import S3Storage

__all__ = ["S3Settings", "open_storage"]


class S3Settings(BaseModel):
    s3_endpoint_url: Annotated[
        str, KnownAs("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    ] = Field(
        "",
        description="URL of an S3-compatible store, such as http://minio:9000, without bucket or path; "
        "empty for AWS.",
    )
    s3_public_endpoint_url: str = Field(
        "",
        description="URL at which clients reach the store, for the URLs of --presign; empty for the same.",
    )
    s3_region: Annotated[str, KnownAs("AWS_DEFAULT_REGION", "AWS_REGION")] = Field(
        "", description="Region of the bucket. With an endpoint of your own it may be left out."
    )
    s3_addressing_style: Annotated[
        Literal["auto", "path", "virtual"], KnownAs("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE")
    ] = Field(
        "auto",
        description="Where requests carry the bucket: in the path or in the host name; 'auto' is 'path' with "
        "an endpoint of your own and 'virtual' with AWS.",
    )
    s3_ignore_tls: Annotated[bool, KnownAs("MLFLOW_S3_IGNORE_TLS")] = Field(
        False, description="Accept any certificate of the store. It cannot be known then who answers."
    )
    s3_ca_bundle: Annotated[str, KnownAs("AWS_CA_BUNDLE")] = Field(
        "", description="PEM file with the authorities whose certificates of the store are accepted."
    )
    s3_upload_extra_args: Annotated[SecretStr, KnownAs("MLFLOW_S3_UPLOAD_EXTRA_ARGS")] = Field(
        SecretStr(""),
        description="JSON object with boto3's ExtraArgs for every upload, such as "
        '{"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "..."}.',
    )
    s3_expected_bucket_owner: Annotated[str, KnownAs("MLFLOW_S3_EXPECTED_BUCKET_OWNER")] = Field(
        "",
        pattern=r"^([0-9]{12})?$",
        description="Account that must own the bucket, 12 digits; else the store refuses every request.",
    )
    s3_signature_version: Annotated[
        Literal["s3v4", "s3", "unsigned"], KnownAs("MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION")
    ] = Field("s3v4", description="How requests are signed; 'unsigned' needs no credentials.")
    s3_timeout: Annotated[int, KnownAs("MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT")] = Field(
        60, ge=-1, description="Seconds that the store may be silent before a request fails; -1 for no limit."
    )
    s3_presigned_url_ttl: Annotated[int, KnownAs("MLFLOW_PRESIGNED_DOWNLOAD_URL_TTL_SECONDS")] = Field(
        300, ge=1, le=604_800, description="Seconds for which a presigned URL lets its holder download."
    )
    s3_part_size: int = Field(
        8 * MIB,
        ge=5 * MIB,
        le=5 * 1024 * MIB,
        description="Bytes of one part of a multipart upload, and of the largest upload in one piece. Parts "
        "of very large artifacts are larger.",
    )
    s3_upload_memory: int = Field(
        320 * MIB,
        ge=5 * MIB,
        description="Bytes per worker for the parts of all uploads together. What has no room waits.",
    )
    s3_abandoned_upload_age: int = Field(
        86_400,
        ge=1,
        le=604_800,
        description="Seconds after which a multipart upload that was begun here, and that nobody "
        "completed, is removed. For so long clients may use the URLs of its parts.",
    )

    @field_validator("s3_signature_version", "s3_addressing_style", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        """As MLflow reads them."""
        return value.lower() if isinstance(value, str) else value

    @field_validator("s3_upload_extra_args")
    @classmethod
    def _json_object(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        try:
            if text and not isinstance(json.loads(text), dict):
                raise ValueError("it is JSON, but no object; write {...}")
        except json.JSONDecodeError as error:
            raise ValueError(f"it is no JSON ({error})") from None
        return value

    @field_validator("s3_timeout")
    @classmethod
    def _some_time(cls, value: int) -> int:
        if value == 0:
            raise ValueError("nothing can answer in no time; give seconds, or -1 for no limit")
        return value


def open_storage(url: str, settings: S3Settings, *, read_only: bool, prepare: bool = True) -> S3Storage:
    """The root s3://bucket/path. Raises `ValueError` with the remedy.

    There is nothing to prepare: a bucket is made by its owner, and prefixes need no making.
    """
    root = S3Root.parse(url)
    try:
        from app.storage.s3 import connection
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{error.name} is not installed; install the extra: pip install 'artifact-proxy[s3]'"
        ) from None
    return connection.open_root(root, settings, read_only=read_only)
