"""What must hold before the server starts, so that a mistake stops the start and not the first request."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing

from app import audit, tracing
from app.config import ConfigurationError, Loaded, flag_name
from app.errors import ArtifactError
from app.fields import RefusedSetting, is_loopback
from app.identity.access_file import InvalidAccessFile
from app.identity.identities import Identities
from app.main import open_storage
from app.settings import Settings
from app.storage.base import Storage


def require_guarded(loaded: Loaded) -> None:
    """Raises `ConfigurationError` where others could come in without being known."""
    settings = loaded.settings
    if not settings.access_file and loaded.origins["access_file"] == flag_name("access_file"):
        raise loaded.refused("access_file", "it is empty; name a file, or leave the flag out")
    if settings.access_file:
        if settings.insecure_no_auth:
            raise loaded.refused("insecure_no_auth", "there is an --access-file; leave one of them out")
        try:
            Identities(settings.access_file)
        except InvalidAccessFile as error:
            raise loaded.refused("access_file", str(error).rstrip(".")) from None
    elif not settings.insecure_no_auth and not is_loopback(settings.host):
        raise loaded.refused(
            "host",
            "everybody who reaches it could read and change all artifacts; say who may with --access-file "
            "(`artifact-proxy token new NAME --allow all: --access-file FILE` makes one), or say "
            "--insecure-no-auth",
        )


def require_traceable() -> None:
    """Raises `ConfigurationError` where the variables of OpenTelemetry ask for what cannot be had."""
    try:
        tracing.judge()
    except tracing.RefusedTracing as error:
        raise ConfigurationError(f"{error}.") from None


def opened_audit_log(loaded: Loaded) -> AbstractContextManager[object]:
    """To be held while the server runs: whoever reads a pipe would take its end for that of the server.

    Raises `ConfigurationError`.
    """
    try:
        return audit.opened(loaded.settings.audit_log)
    except (OSError, ValueError) as error:  # the latter for a NUL
        why = error.strerror if isinstance(error, OSError) else error
        raise loaded.refused("audit_log", f"it cannot be written ({why})") from None


def prepared_root(loaded: Loaded) -> str:
    """Finds out before the first request what would fail in each of them; gives the root's URL."""
    with closing(open_fit(loaded)) as storage:
        try:
            storage.check()
        except ArtifactError as error:
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            raise loaded.refused("default_artifact_root", f"{str(error).rstrip('.')}{cause}") from None
        return storage.url


def open_fit(loaded: Loaded) -> Storage:
    """The storage, which can do all that the settings want. Raises `ConfigurationError`."""
    settings = loaded.settings
    try:
        storage = open_storage(settings, prepare=True)
        try:
            _require_fit(settings, storage)
        except RefusedSetting:
            storage.close()
            raise
        return storage
    except RefusedSetting as error:
        raise loaded.refused(error.field, str(error)) from None
    except ValueError as error:
        raise loaded.refused("default_artifact_root", str(error)) from None


def _require_fit(settings: Settings, storage: Storage) -> None:
    """Raises `RefusedSetting` for what this kind of storage cannot do."""
    if settings.presign and storage.direct is None:
        raise RefusedSetting(
            "presign",
            f"{storage.url} has no presigned URLs; a root in S3 has, unless its --s3-upload-extra-args want "
            "SSECustomerKey, RequestPayer or ChecksumAlgorithm, which clients would have to send",
        )
    if settings.quotas and storage.usage is None:
        raise RefusedSetting(
            "quotas",
            f"what lies below a prefix of {storage.url} cannot be told cheaply; use the store's own quotas",
        )
    if settings.accel_redirect and not storage.plain_files:
        raise RefusedSetting(
            "accel_redirect",
            f"{storage.url} has no files that a reverse proxy could send; a local root has, and for one in "
            "S3 there is --presign-redirect-above",
        )
    if settings.presign_redirect_above and not settings.presign:
        raise RefusedSetting(
            "presign_redirect_above", "it redirects to presigned URLs; set --presign as well"
        )
