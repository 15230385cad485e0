"""Who we are: the token that was given, that of a variable, or the login of a netrc file."""

from __future__ import annotations

import netrc
import os
import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlsplit

from artifact_proxy.errors import ConfigurationError

TOKEN_VARIABLE = "ARTIFACT_PROXY_TOKEN"  # noqa: S105 - its name
_MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - its name
_MLFLOW_USER, _MLFLOW_PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def of_named_server(url: str, token: str | None) -> str | None:
    """The `Authorization` for the server that the user has named; None without any credential."""
    if token is not None:
        return _bearer(token, "The token")
    if os.environ.get(TOKEN_VARIABLE):
        return _bearer(os.environ[TOKEN_VARIABLE], TOKEN_VARIABLE)
    return of_other_server(url)


def of_other_server(url: str) -> str | None:
    """The same for one that MLflow has named. The credential of another server is not sent there."""
    if os.environ.get(_MLFLOW_TOKEN):
        return _bearer(os.environ[_MLFLOW_TOKEN], _MLFLOW_TOKEN)
    if os.environ.get(_MLFLOW_USER) and os.environ.get(_MLFLOW_PASSWORD):
        return _basic(os.environ[_MLFLOW_USER], os.environ[_MLFLOW_PASSWORD])
    return _of_netrc(urlsplit(url).hostname or "")


def _bearer(token: str, name: str) -> str:
    token = token.strip()
    if not _SENDABLE.fullmatch(token):
        raise ConfigurationError(
            f"{name} is no token: it has spaces, or characters beyond ASCII, or is empty."
        )
    return f"Bearer {token}"


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _places() -> list[Path]:
    try:
        return [Path.home() / ".netrc", Path.home() / "_netrc"]
    except RuntimeError:  # nobody has told us of a home
        return []


def _of_netrc(host: str) -> str | None:
    named = os.environ.get("NETRC")
    for place in [Path(named)] if named else _places():
        try:
            found = netrc.netrc(str(place)).authenticators(host)
        except FileNotFoundError:
            if named:
                raise ConfigurationError(
                    f"NETRC={named!r} is not there; create it, or unset NETRC."
                ) from None
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
            raise ConfigurationError(f"{place} cannot be read: {reason}.") from None
        except netrc.NetrcParseError as error:
            raise ConfigurationError(f"{place} is no netrc file: {error.msg}, line {error.lineno}.") from None
        if found is not None and found[2]:
            return _basic(found[0], found[2])
    return None
