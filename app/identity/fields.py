"""The single values of the access file, as they are judged; errors tell what would be right."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from app.fields import is_loopback
from app.identity.permissions import Grant

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
_HEADER = re.compile(r"[A-Za-z0-9-]+")


def _grant(text: object) -> Grant:
    if not isinstance(text, str):
        raise ValueError("it is no text such as 'read,list:models/'")
    return Grant.parse(text)


def name_of_token(text: str) -> str:
    """The name, if it can be one. Raises `ValueError`."""
    if not _NAME.fullmatch(text):
        raise ValueError(
            "a name has up to 100 letters, digits, '.', '_', '@' and '-', and starts with a letter or digit"
        )
    return text


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise ValueError("it is no name of a header; it has letters, digits and '-'")
    return text.lower()


def _network(text: object) -> IPv4Network | IPv6Network:
    try:
        if isinstance(text, str):  # a number would be taken for an address
            return ip_network(text)
    except ValueError:
        pass
    raise ValueError("it is no IP address or network such as 10.0.0.5 or 10.0.0.0/24")


def https_url(url: str) -> str:
    """The URL, if what comes from there can be believed. Raises `ValueError`."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None:
        raise ValueError("it is no URL such as https://login.example.com, without a user or a password")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("it is not https:, and keys that come unprotected prove nothing")
    return url


GrantText = Annotated[Grant, BeforeValidator(_grant)]
TokenName = Annotated[str, AfterValidator(name_of_token)]
HeaderName = Annotated[str, AfterValidator(_header)]
IssuerUrl = Annotated[str, AfterValidator(https_url)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
