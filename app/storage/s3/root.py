"""Where the root lies: a bucket and a prefix, and the keys below it, formed here and nowhere else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from app.errors import InvalidPath
from app.fields import without_password
from app.paths import RESERVED_PREFIX, ArtifactPath

MAX_KEY_BYTES = 1024

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_URL = re.compile(r"s3://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class S3Root:
    bucket: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """From s3://bucket/path, which is taken as it stands. Raises `ValueError` with the remedy."""
        match = _URL.fullmatch(url)
        if match is None:
            raise ValueError(f"{url!r} is no S3 root; write s3://bucket/path")
        bucket, path = match[1], (match[2] or "/")[1:]
        _require_bucket(bucket, url)
        if "?" in url or "#" in url:
            raise ValueError(f"{url!r} has a '?' or '#'; a root is written s3://bucket/path")
        try:
            directory = ArtifactPath.parse_directory(path)
        except InvalidPath as error:
            raise ValueError(f"its path makes no prefix of keys ({error})") from None
        return cls(bucket, f"{directory}/" if path else "")

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")

    def key(self, path: ArtifactPath) -> str:
        """The key of an artifact. Raises `InvalidPath` where S3 has no such long keys."""
        key = f"{self.prefix}{path}"
        if len(key.encode()) > MAX_KEY_BYTES:
            raise InvalidPath(
                f"Invalid artifact path {str(path)[:120]!a}…: with the artifact root's own path before it, "
                f"it is longer than the {MAX_KEY_BYTES} bytes that S3 allows."
            )
        return key

    def below(self, directory: ArtifactPath) -> str:
        """What the keys of everything below `directory` begin with."""
        return self.prefix if directory.is_root else self.key(directory) + "/"

    def own(self, name: str) -> str:
        """The key of something of the server's own, which no artifact path can name."""
        return f"{self.prefix}{RESERVED_PREFIX}/{name}"

    def path(self, key: str) -> ArtifactPath:
        return ArtifactPath.parse(key.removeprefix(self.prefix))


def _require_bucket(bucket: str, url: str) -> None:
    host = bucket.rpartition("@")[2]
    is_aws = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    if ":" in bucket or "@" in bucket or _is_address(host) or is_aws:
        raise ValueError(
            f"{without_password(url)!r} names an endpoint or credentials where the bucket belongs; write "
            "s3://bucket/path, and name the endpoint in --s3-endpoint-url or MLFLOW_S3_ENDPOINT_URL"
        )
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(
            f"{bucket!r} is no bucket name: those have 3 to 63 lower-case letters, digits, '-' and '.'; "
            "write s3://bucket/path"
        )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
