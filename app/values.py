"""What settings may say: each function gives what is meant, or raises `ValueError` with the remedy."""

from __future__ import annotations

import json
import re
from ipaddress import ip_network

from app.errors import InvalidPath
from app.fields import without_password
from app.paths import ArtifactPath

_OWN_ROUTES = {"api", "ajax-api", "v1", "ui", "docs", "openapi.json", "health", "ready", "metrics", "version"}
_HOST = re.compile(r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(r"https?://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")


def names(value: str) -> list[str]:
    """The members of a list that is written with commas."""
    return [name.strip() for name in value.split(",") if name.strip()]


def listening_host(value: str) -> str:
    try:
        value.encode("idna")
    except UnicodeError:
        raise ValueError("it is no host name; choose another address, such as 127.0.0.1") from None
    return value


def static_prefix(value: str) -> str:
    return _beside_routes(_prefix(value, "/mlflow"), "/mlflow")


def root_path(value: str) -> str:
    return _prefix(value, "/artifacts")


def location(value: str) -> str:
    """A location of nginx for files."""
    found = _beside_routes(_prefix(value, "/_files"), "/_files")
    if value and not found:
        raise ValueError("the server itself is there; choose another path, such as /_files")
    return found


def _prefix(value: str, example: str) -> str:
    """A path of whole segments without a final slash."""
    value = value.rstrip("/")
    if not _PREFIX.fullmatch(value):
        raise ValueError(
            "it must be empty, or a path of letters, digits and '.', '_', '~', '-' that starts with a slash "
            f"and has no '.' or '..' as a segment, such as {example}"
        )
    return value


def _beside_routes(prefix: str, example: str) -> str:
    if prefix and prefix.split("/")[1] in _OWN_ROUTES:
        raise ValueError(f"routes of the server itself begin so; choose another path, such as {example}")
    return prefix


def addresses(value: str) -> str:
    """Addresses and networks, separated by commas, or `*`."""
    value = value.strip()
    for address in value.split(",") if value not in {"", "*"} else []:
        try:
            ip_network(address.strip())
        except ValueError as error:
            said = without_password(str(error))
            raise ValueError(f"{said}; give addresses such as 10.0.0.1 or 10.0.0.0/8, or *") from None
    return value


def host_names(value: str) -> str:
    return _each(
        value,
        _HOST,
        "is no host name; give names without scheme and port, such as ml.example.com, *.example.com or [::1]",
    )


def origins(value: str) -> str:
    return _each(
        value,
        _ORIGIN,
        "is no origin as browsers send it; give scheme, host and port alone, in lower case, such as "
        "https://app.example.com",
    )


def _each(value: str, pattern: re.Pattern[str], otherwise: str) -> str:
    for name in names(value):
        if not pattern.fullmatch(name):
            raise ValueError(f"{without_password(name)!r} {otherwise}")
    return value


def quotas_of(value: str) -> dict[ArtifactPath, int]:
    """The bytes that may lie below each prefix."""
    try:
        written = json.loads(value) if value else {}
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error})") from None
    if not isinstance(written, dict):
        raise ValueError('it is JSON, but no object; write {"users/": 1000000000}')
    sizes = {}
    for prefix, size in written.items():
        try:
            path = ArtifactPath.parse_directory(prefix)
        except InvalidPath as error:
            raise ValueError(str(error).rstrip(".")) from None
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ValueError(f"the quota of {prefix!r} is no number of bytes")
        sizes[path] = size
    return sizes


def quotas(value: str) -> str:
    quotas_of(value)
    return value
