"""Credentials as the environment and files of a user have them, and those that requests are signed with."""

from __future__ import annotations

from pathlib import Path

from tests.support.interposer import Interposer
from tests.support.s3_requests import (
    scope,
)

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ROLE = "arn:aws:iam::123456789012:role/artifacts"
TOKEN = "x-amz-security-token"  # noqa: S105 - the name of a header
SECRET = "a-secret-of-the-test"  # noqa: S105 - opens nothing


def keys_of(access_key: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": SECRET}


def shared_file(directory: Path, **access_keys: str) -> dict[str, str]:
    """A variable that names a file like ~/.aws/credentials, with the access key of each profile."""
    lines = [
        f"[{name}]\naws_access_key_id = {access_key}\naws_secret_access_key = {SECRET}"
        for name, access_key in access_keys.items()
    ]
    file = directory / "credentials"
    file.write_text("\n".join(lines))
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file)}


def access_keys(interposer: Interposer) -> set[str]:
    return {scope(request)[0] for request in interposer.requests()}
