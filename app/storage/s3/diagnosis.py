"""Explains botocore's errors to the operator: what the store answered, and what to do about it.

Nothing of the store's own text is passed on, which may hold anything, nor of URLs, which may be secret.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as ConnectionFailure

from app.storage.s3.bucket import code, status

_WRONG_REGION = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "301",
}
_REMEDIES = {
    "NoSuchBucket": "the bucket does not exist; create it, or correct its name",
    "InvalidAccessKeyId": "the store does not know the access key; correct AWS_ACCESS_KEY_ID or the profile",
    "SignatureDoesNotMatch": "the secret key is wrong, or something changes requests on their way",
    "ExpiredToken": "the session token has expired; get a new one",
    "InvalidToken": "the session token is wrong; get a new one",
    "RequestTimeTooSkewed": "this machine's clock differs from the store's; set it",
    "InvalidObjectState": "the object is archived; restore it first",
}
_PERMISSIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}


class StoreFault(Exception):
    """What the store did, in words for its operator: the cause of a translated error."""


def explanation(error: Exception) -> str:
    if isinstance(error, ClientError):
        return _explained_answer(error)
    if isinstance(error, NoCredentialsError):
        return (
            "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or "
            "give the machine a role"
        )
    if isinstance(error, SSLError):
        return (
            f"no trustworthy TLS connection to {_server(error)} ({_tls_reason(error)}); name its authority "
            "in AWS_CA_BUNDLE (--s3-ca-bundle), or correct the endpoint"
        )
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
        return f"{_server(error)} did not answer in time; see --s3-timeout"
    if isinstance(error, ConnectionFailure | HTTPClientError):
        broken = type(error).__name__
        return f"no connection to {_server(error)}, or it broke off ({broken}); is the endpoint right?"
    if isinstance(error, PartialCredentialsError | CredentialRetrievalError):
        reason = error.__cause__ or type(error).__name__
        return f"the credentials are incomplete or cannot be had ({reason})"
    if isinstance(error, ParamValidationError):
        return "boto3 refuses an argument of the request; correct the values in --s3-upload-extra-args"
    return type(error).__name__


def _explained_answer(error: ClientError) -> str:
    found = code(error)
    shown = found if re.fullmatch(r"[A-Za-z0-9.]{1,64}", found) else "an unreadable code"
    said = f"{error.operation_name} was answered with {status(error)} {shown}"
    region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region", "")
    if found in _WRONG_REGION or status(error) == 301:
        where = f" {region}" if re.fullmatch(r"[a-z0-9-]{1,32}", region) else ""
        return f"{said}: the bucket is in another region{where}; set AWS_DEFAULT_REGION (--s3-region) to it"
    if found in _REMEDIES:
        return f"{said}: {_REMEDIES[found]}"
    if error.operation_name.startswith("AssumeRole"):
        return f"{said}: the role cannot be assumed; see what it trusts, and what the caller may"
    if status(error) in {401, 403}:
        permission = _PERMISSIONS.get(error.operation_name, f"s3:{error.operation_name}")
        return f"{said}: the credentials lack a permission; allow {permission} for the root's bucket and path"
    return said


def _server(error: BotoCoreError) -> str:
    """Scheme, host and port; the rest of a URL is nobody's business."""
    parts = urlsplit(str(error.kwargs.get("endpoint_url", "")))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "the store"


def _tls_reason(error: BotoCoreError) -> str:
    match = re.search(
        r"certificate verify failed: ([\w ',.:-]+)|(\[SSL: [A-Z_0-9]+\])", str(error.kwargs.get("error", ""))
    )
    return (match[1] or match[2]) if match else "the handshake failed"
