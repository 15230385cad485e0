"""boto3 clients as the settings want them, and what is refused before there is one."""

from __future__ import annotations

import json
import logging
import os
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import boto3
import urllib3
from boto3.s3.transfer import S3Transfer
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    ReadTimeoutError,
)
from botocore.session import Session
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

from app import metrics
from app.fields import RefusedSetting
from app.storage.s3 import S3Settings
from app.storage.s3.bucket import Bucket, content_md5
from app.storage.s3.page import read_page
from app.storage.s3.root import S3Root
from app.storage.s3.storage import S3Storage
from app.storage.s3.timestamps import timestamp

_CONNECTIONS = 256
"""Kept open at most; beyond that they are opened and closed as needed."""
_SIGNING_REGION = "us-east-1"
"""What stores that know no regions expect in signatures."""
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
# What other settings and the requests themselves decide.
_RESERVED_ARGUMENTS = {"ExpectedBucketOwner", "IfMatch", "IfNoneMatch"}


def open_root(root: S3Root, settings: S3Settings, *, read_only: bool) -> S3Storage:
    """Raises `RefusedSetting` and `ValueError`, before anything is asked of the store."""
    _judge_endpoint("s3_endpoint_url", settings.s3_endpoint_url, root)
    _judge_endpoint("s3_public_endpoint_url", settings.s3_public_endpoint_url, root)
    _judge_tls(settings)
    if settings.s3_upload_memory < settings.s3_part_size:
        raise RefusedSetting(
            "s3_upload_memory", f"it has no room for one part of {settings.s3_part_size} bytes; give it more"
        )
    arguments = _upload_arguments(settings)
    try:
        clients = _Clients(settings)
    except RefusedSetting:
        raise
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"the S3 client cannot be made: {error}") from None
    bucket = Bucket(clients.storage, root, settings.s3_expected_bucket_owner, arguments)
    return S3Storage(bucket, clients.public, settings, read_only=read_only)


class _Clients:
    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._core = Session()
        self._core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=timestamp)
        self._session = boto3.Session(botocore_session=self._core)
        self._unsigned = settings.s3_signature_version == "unsigned"
        with _obtaining_credentials():
            self._credentials = None if self._unsigned else self._core.get_credentials()
        endpoint = settings.s3_endpoint_url or self._endpoint_of_profile()
        self._region = self._require_region(endpoint)
        self.storage = self._client(endpoint)
        public = settings.s3_public_endpoint_url
        self.public = self._client(public) if public else self.storage
        """For presigned URLs only, which are made without a connection."""

    def _endpoint_of_profile(self) -> str:
        """What boto3's own chain finds; empty where that is AWS itself."""
        client = self._session.client("s3", region_name=self._region_if_any() or _SIGNING_REGION)
        found: str = client.meta.endpoint_url
        client.close()
        return "" if _is_aws(found) else found

    def _region_if_any(self) -> str | None:
        found: str | None = self._settings.s3_region or self._session.region_name
        return found

    def _require_region(self, endpoint: str) -> str:
        region = self._region_if_any() or (_SIGNING_REGION if endpoint else None)
        if region is None:
            raise RefusedSetting(
                "s3_region",
                "no region is configured, and AWS needs one; set AWS_DEFAULT_REGION to the bucket's, or "
                "MLFLOW_S3_ENDPOINT_URL if the store is not AWS",
            )
        return region

    def _client(self, endpoint: str) -> Any:
        settings = self._settings
        style = settings.s3_addressing_style
        if style == "auto":
            style = "path" if endpoint and not _is_aws(endpoint) else "virtual"
        silence = settings.s3_timeout if settings.s3_timeout > 0 else None
        client = self._session.client(
            "s3",
            region_name=self._region,
            endpoint_url=endpoint or None,
            verify=False if settings.s3_ignore_tls else settings.s3_ca_bundle or None,
            config=Config(
                signature_version=UNSIGNED if self._unsigned else settings.s3_signature_version,
                s3={"addressing_style": style},
                connect_timeout=silence,
                read_timeout=silence,
                max_pool_connections=_CONNECTIONS,
                **self._checksums(),
            ),
        )
        client.meta.events.register_first("before-sign.s3", self._refresh_credentials)
        client.meta.events.register_first("needs-retry.s3", _give_up_on_silence)
        client.meta.events.register("before-call.s3.DeleteObjects", _add_md5)
        client.meta.events.register("before-parse.s3.ListObjectsV2", read_page)
        client.meta.events.register("request-created.s3", _count_repetition)
        return client

    def _refresh_credentials(self, **_: object) -> None:
        if self._credentials is not None:
            with _obtaining_credentials():
                self._credentials.get_frozen_credentials()

    def _checksums(self) -> dict[str, Any]:
        """Only where S3 demands them, unless the user says otherwise: not every store knows them."""
        configured = self._core.get_scoped_config()
        return {
            name: "when_required"
            for name in ("request_checksum_calculation", "response_checksum_validation")
            if name not in configured and not os.environ.get(f"AWS_{name.upper()}")
        }


@contextmanager
def _obtaining_credentials() -> Iterator[None]:
    """Makes one kind of error of all that botocore lets through from files, services and programs."""
    try:
        yield
    except (OSError, LookupError, RuntimeError, ValueError) as error:
        raise CredentialRetrievalError(provider="their source", error_msg=str(error)) from error


def _give_up_on_silence(caught_exception: Exception | None = None, **_: object) -> None:
    """A silent store was waited for as long as the operator allows: not once more for each attempt."""
    if isinstance(caught_exception, ReadTimeoutError | ConnectTimeoutError):
        raise caught_exception
    if isinstance(caught_exception, ConnectionClosedError):
        broken = caught_exception.kwargs["error"]  # which also is what a store does that takes no more bytes
        if any(isinstance(reason, TimeoutError) for reason in broken.args):
            raise ReadTimeoutError(endpoint_url=caught_exception.kwargs["endpoint_url"], error=broken)


def _add_md5(params: dict[str, Any], **_: object) -> None:
    """Older stores demand this of DeleteObjects, where newer ones take the checksum that boto3 sends."""
    params["headers"]["Content-MD5"] = content_md5(params["body"])


def _count_repetition(request: Any, operation_name: str, **_: object) -> None:
    if request.context.get("retries", {}).get("attempt", 1) > 1:
        metrics.STORAGE_RETRIES.labels(operation_name).inc()


def _is_aws(endpoint: str) -> bool:
    return (urlsplit(endpoint).hostname or "").endswith(_AWS)


def _judge_endpoint(field: str, endpoint: str, root: S3Root) -> None:
    if not endpoint:
        return
    try:
        parts = urlsplit(endpoint)
        usable = (
            parts.scheme in {"http", "https"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
            and (is_valid_endpoint_url(endpoint) or is_valid_ipv6_endpoint_url(endpoint))
        )
    except ValueError:
        usable = False
    if not usable:
        raise RefusedSetting(field, "it is no URL of a server; write it like http://minio:9000")
    if parts.username is not None or parts.password is not None:
        raise RefusedSetting(field, "it carries credentials; those belong in AWS_ACCESS_KEY_ID and so on")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise RefusedSetting(
            field,
            f"it carries the bucket or path {parts.path or parts.query!r}; name only the server, and the "
            "bucket in --default-artifact-root s3://bucket/path",
        )
    host, bucket = parts.hostname or "", f"{root.bucket}."
    if host.startswith(bucket) and (host.endswith(_AWS) or host.startswith(f"{bucket}s3.")):
        raise RefusedSetting(
            field,
            f"its host name begins with the bucket {root.bucket!r}, which is put there anyway; leave it out",
        )


def _judge_tls(settings: S3Settings) -> None:
    if settings.s3_ignore_tls and settings.s3_ca_bundle:
        raise RefusedSetting(
            "s3_ignore_tls",
            "certificates cannot be both ignored and checked against AWS_CA_BUNDLE (--s3-ca-bundle); unset "
            "one",
        )
    if settings.s3_ca_bundle:
        try:
            ssl.create_default_context(cafile=settings.s3_ca_bundle)
        except OSError:  # of TLS too
            raise RefusedSetting(
                "s3_ca_bundle", "there is no such file with certificates that can be read; name a PEM file"
            ) from None
    if settings.s3_ignore_tls:
        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
        logging.getLogger(__name__).warning("The store's certificate is not checked (--s3-ignore-tls).")


def _upload_arguments(settings: S3Settings) -> Mapping[str, Any]:
    text = settings.s3_upload_extra_args.get_secret_value()
    arguments: dict[str, Any] = json.loads(text) if text else {}
    allowed = sorted(set(S3Transfer.ALLOWED_UPLOAD_ARGS) - _RESERVED_ARGUMENTS)
    for name, value in arguments.items():
        if name not in allowed:
            raise RefusedSetting(
                "s3_upload_extra_args",
                f"{name!r} is no argument of uploads; allowed are: {', '.join(allowed)}",
            )
        if name != "Metadata" and not isinstance(value, str):
            raise RefusedSetting("s3_upload_extra_args", f"{name!r} must be a text; put it in quotes")
    metadata = arguments.get("Metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise RefusedSetting("s3_upload_extra_args", "'Metadata' must be an object with texts as its values")
    return arguments
