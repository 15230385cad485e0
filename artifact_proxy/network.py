"""One request over the network, and the answer to it: TLS, proxies, redirects, and what can break."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Mapping
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.response import BaseHTTPResponse

from artifact_proxy.errors import ArtifactError, ConfigurationError, Unavailable

CHUNK_BYTES = 256 * 1024
_CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Beside SSL_CERT_FILE and SSL_CERT_DIR, which OpenSSL itself reads."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_USER_AGENT = "artifact-proxy-client"


class Origin(NamedTuple):
    """Who gets a request: those with another one are somebody else."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """Raises `ConfigurationError` for what is no URL of HTTP."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{url!r} is no URL: {error}.") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"{url!r} is no URL of a server; write it as https://host or http://host."
            )
        return cls(parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Reply(NamedTuple):
    response: BaseHTTPResponse
    """Its body is unread."""
    is_of_another: bool
    """Whether the server has redirected to somebody else, such as its storage."""


class Network:
    """The connections of one client, which its threads share."""

    def __init__(self, *, timeout: float, connections: int) -> None:
        """`timeout`: seconds that a server may be silent; `connections` to one server are kept open."""
        self.timeout = timeout
        self._connections = connections
        self._lock = Lock()
        self._pools: dict[tuple[str, str | None], urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Iterable[bytes] | None = None,
        *,
        patience: float = 0,
    ) -> Reply:
        """The answer to one request. It may take `patience` seconds longer than others.

        A redirect of what only reads is followed, without the credential if it leads to somebody else.
        Raises `Unavailable`.
        """
        origin = first = Origin.of(url)
        sent = dict(headers) | {"User-Agent": _USER_AGENT}
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._exchange(method, url, sent, body, patience)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return Reply(response, origin != first)
            response.close()
            url, origin = _redirected(url, location)
            if method not in {"GET", "HEAD"}:
                raise ArtifactError(f"{first} sends this request on to {origin}; name that server instead.")
            if origin != first:
                sent.pop("Authorization", None)
        raise ArtifactError(f"{first} redirects again and again.")

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterable[bytes] | None, patience: float
    ) -> BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=self.timeout, read=self.timeout + patience)
        origin = Origin.of(url)
        try:
            return self._pool(origin.scheme, proxy_for(origin)).urlopen(
                method,
                url,
                body=body,
                headers=headers,
                timeout=timeout,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        except LocationValueError as error:
            raise ConfigurationError(f"{origin} is not to be reached: {error}.") from None
        except HTTPError as error:
            raise broken(error, origin) from None

    def _pool(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        with self._lock:
            if (scheme, proxy) not in self._pools:
                self._pools[scheme, proxy] = self._new_pool(scheme, proxy)
            return self._pools[scheme, proxy]

    def _new_pool(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"maxsize": self._connections}
        if scheme == "https":
            options["ssl_context"] = self._trust
        if proxy is None:
            return urllib3.PoolManager(**options)
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                f"The proxy of the environment is none of HTTP, but of {parts.scheme!r}."
            )
        login = None if parts.username is None else unquote(f"{parts.username}:{parts.password or ''}")
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(
            plain, proxy_headers=urllib3.make_headers(proxy_basic_auth=login), **options
        )

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        for name in _CA_VARIABLES:
            bundle = os.environ.get(name)
            if not bundle:
                continue
            is_directory = os.path.isdir(bundle)
            try:
                return ssl.create_default_context(
                    cafile=None if is_directory else bundle, capath=bundle if is_directory else None
                )
            except (OSError, ssl.SSLError) as error:
                reason = error.strerror or "it has no certificates"
                raise ConfigurationError(f"{name}={bundle!r} cannot be used: {reason}.") from None
        return ssl.create_default_context()

    def close(self) -> None:
        """Ends the connections that are kept open."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()


def proxy_for(origin: Origin) -> str | None:
    """The proxy that the environment wants between us, as in HTTPS_PROXY; NO_PROXY names those without."""
    proxies = getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    return None if not proxy or proxy_bypass(f"{origin.host}:{origin.port}") else proxy


def broken(error: HTTPError, origin: Origin) -> Unavailable:
    """What an error of the library means."""
    while isinstance(error, ProxyError) and isinstance(error.original_error, HTTPError):
        error = error.original_error
    unreached = isinstance(error, NewConnectionError | ConnectTimeoutError | ProxyError)
    what = f"{origin} cannot be reached" if unreached else f"The connection to {origin} broke"
    made = Unavailable(f"{what}: {_reason(error)}.")
    made.is_final = isinstance(error, SSLError)
    return made


def _reason(error: HTTPError) -> str:
    if isinstance(error, NameResolutionError):
        return "nobody knows its name"
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError) and not isinstance(
        error, NewConnectionError
    ):
        return "it was silent for too long"
    if isinstance(error, ProtocolError | SSLError) and error.args:
        cause: object = error.args[-1]
    else:
        cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    told = (isinstance(cause, OSError) and cause.strerror) or str(cause)
    return " ".join(told.split()).rstrip(".")


def _redirected(url: str, location: str) -> tuple[str, Origin]:
    try:
        url = urljoin(url, location)
        return url, Origin.of(url)
    except (ValueError, ConfigurationError):
        # Not with the address, which may be a secret.
        raise ArtifactError("The server redirects to what is no URL of HTTP.") from None
