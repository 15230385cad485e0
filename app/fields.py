"""The fields of settings models: their other names, how values are shown, and values refused late."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pydantic.fields import FieldInfo


class KnownAs(tuple[str, ...]):
    """Environment variables that mean a field already elsewhere, best first, as `Annotated` metadata."""

    __slots__ = ()

    def __new__(cls, *variables: str) -> KnownAs:
        return super().__new__(cls, variables)


def known_as(field: FieldInfo) -> tuple[str, ...]:
    return tuple(variable for data in field.metadata if isinstance(data, KnownAs) for variable in data)


class RefusedSetting(ValueError):
    """A value that turned out to be unusable when the storage was opened with it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def without_password(value: object) -> object:
    """A setting's value as it may be shown: a password that somebody put into a URL is left out."""
    # Up to the last @: what is meant for a secret key may hold any character.
    return re.sub(r"(//[^/@:]*):.*@", r"\1:***@", value) if isinstance(value, str) else value


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, which nobody else reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
