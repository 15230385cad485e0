"""The servers that a client speaks to: the named one, and those that MLflow or a URL names."""

from __future__ import annotations

import os
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from artifact_proxy import credentials, uris
from artifact_proxy.connection import Connection
from artifact_proxy.errors import ConfigurationError
from artifact_proxy.network import Network, Origin

SERVER_VARIABLE = "ARTIFACT_PROXY_SERVER"


class Servers:
    def __init__(self, named: str | None, token: str | None, network: Network, retries: int) -> None:
        self._named = None if named is None else _plain(named)
        self._token = token
        self._network = network
        self._retries = retries
        self._lock = Lock()
        self._connections: dict[tuple[str, bool], Connection] = {}

    def of(self, url: str | None, *, is_told: bool = False) -> Connection:
        """That of the named server for None; `is_told`: it was the tracking server that named this one.

        Raises `ConfigurationError`.
        """
        url = self._named if url is None else _plain(url)
        if url is None:
            raise ConfigurationError(
                f"No server is named; set {SERVER_VARIABLE}, or --server, to a URL such as http://127.0.0.1:5500."
            )
        is_told = is_told and url != self._named
        with self._lock:
            if (url, is_told) not in self._connections:
                credential = self._credential(url, is_told=is_told)
                self._connections[url, is_told] = Connection(url, credential, self._network, self._retries)
            return self._connections[url, is_told]

    def is_named(self, connection: Connection) -> bool:
        return connection.url == self._named

    def ask_mlflow(self, url: str) -> Any:
        """What a tracking server answers, which gets no credential but those of MLflow."""
        server, _, asked = url.partition(uris.MLFLOW_API)
        credential, kind = credentials.of_other_server(url), "a tracking server of MLflow"
        return Connection(server, credential, self._network, self._retries, kind).told(url, asked)

    def close(self) -> None:
        self._network.close()

    def _credential(self, url: str, *, is_told: bool) -> str | None:
        """The named server's own token goes to nobody else, whoever names another server.

        Where none is named, it goes to those whose URLs were typed: a tracking server cannot ask for it.
        """
        is_ours = not is_told if self._named is None else Origin.of(url) == Origin.of(self._named)
        if is_ours:
            return credentials.of_named_server(url, self._token)
        return credentials.of_other_server(url)


def _plain(url: str) -> str:
    """The URL without a final slash. Raises `ConfigurationError` for what is none of a server."""
    Origin.of(url)
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "The server's URL has a user or a password in it; put them into ARTIFACT_PROXY_TOKEN or ~/.netrc."
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is more than the URL of a server; leave out what follows its path."
        )
    if (server := uris.server_of(url)) is not None:
        raise ConfigurationError(f"{url!r} is the URL of artifacts; that of their server is {server!r}.")
    return url.rstrip("/")


def named_server(server: str | None) -> str | None:
    """The one that is given, or that of the environment."""
    return (server or os.environ.get(SERVER_VARIABLE) or "").strip() or None
