"""Where an artifact is: at a path of the named server, at a URL, or where MLflow says."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

from artifact_proxy.errors import ConfigurationError
from artifact_proxy.paths import joined

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
MLFLOW_API = "/api/2.0/mlflow/"
_SCHEME = re.compile(r"(?:(runs|models|mlflow-artifacts):/|((?i:https?))://)")
"""No artifact's path begins so: the server refuses a first segment like these."""
_FOREIGN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ARTIFACTS = re.compile(r"(.*?)/(?:v1/artifacts|(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts)(?:/(.*))?")
_VERSION = re.compile(r"([^/@]+)(?:/(\d+)|@([^/]+))(?:/(.*))?")
_MOST_STEPS = 4
"""A model may be that of a run, whose artifacts are at a URL."""

Ask = Callable[[str], Any]
"""Gives the JSON that a tracking server answers at a URL."""


class Location(NamedTuple):
    server: str | None
    """The URL of another server than the named one."""
    path: str
    is_told: bool = False
    """Whether that server was named by the tracking server, and not by who asks for it."""


class Typed(NamedTuple):
    """What of a word is a path, behind what names a server, a run or a model."""

    path: str
    """As it was typed."""
    is_encoded: bool
    """Whether it is percent-encoded, as in URLs."""


def locate(text: str, ask: Ask) -> Location:
    """Where the artifact `text` is. `ask` is called where only MLflow knows.

    Raises `ConfigurationError` for what is not at an artifact-proxy.
    """
    where = text
    for step in range(_MOST_STEPS):
        found = _SCHEME.match(where)
        if found is None:
            if foreign := _FOREIGN.match(where):
                raise ConfigurationError(
                    f"{where!r} has the scheme {foreign[1]!r}, which is of no artifact-proxy; give a path, "
                    "or a URI of http, https, mlflow-artifacts, runs or models."
                )
            return Location(None, where)
        if found[1] not in {"runs", "models"}:
            return _of_url(where)._replace(is_told=step > 0)
        try:
            where = _of_run(where, ask) if found[1] == "runs" else _of_model(where, ask)
        except (KeyError, TypeError):
            raise ConfigurationError(f"MLflow's tracking server does not tell where {where!r} is.") from None
    raise ConfigurationError(f"{text!r} leads from one MLflow URI to the next; name the artifact itself.")


def typed(text: str) -> Typed:
    """The path in what `locate` takes."""
    found = _SCHEME.match(text)
    if found is None:
        return Typed(text, is_encoded=False)
    if found[1] == "runs":
        return Typed(_run(text)[1], is_encoded=False)
    if found[1] == "models":
        named = _model(text)
        return Typed("" if named is None else named.below, is_encoded=False)
    path = urlsplit(text).path
    if found[1] is None:
        artifacts = _ARTIFACTS.fullmatch(path)
        path = (artifacts and artifacts[2]) or ""
    return Typed(path, is_encoded=True)


def server_of(url: str) -> str | None:
    """The URL of the server, where `url` is that of its artifacts."""
    parts = urlsplit(url)
    found = _ARTIFACTS.fullmatch(parts.path)
    return None if found is None else f"{parts.scheme}://{parts.netloc}{found[1]}"


def _of_url(url: str) -> Location:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}.") from None
    if parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is more than the URL of an artifact; leave out what follows its path."
        )
    if parts.scheme == "mlflow-artifacts":
        server = f"http://{parts.netloc}" if parts.netloc else None
        return Location(server, unquote(parts.path).removeprefix("/"))
    found = _ARTIFACTS.fullmatch(parts.path)
    if found is None:
        raise ConfigurationError(
            f"{url!r} is no artifact of an artifact-proxy: there is no /v1/artifacts/ in it, "
            "and no /api/2.0/mlflow-artifacts/artifacts/."
        )
    return Location(f"{parts.scheme}://{parts.netloc}{found[1]}", unquote(found[2] or ""))


def _run(uri: str) -> tuple[str, str]:
    """Its identifier, and the path in it."""
    run_id, _, below = uri.removeprefix("runs:").lstrip("/").partition("/")
    return run_id, below


def _of_run(uri: str, ask: Ask) -> str:
    run_id, below = _run(uri)
    if not run_id:
        raise ConfigurationError(f"{uri!r} names no run; write it as runs:/<run id>/path.")
    told = ask(_api("runs/get", run_id=run_id))
    return _below(told["run"]["info"]["artifact_uri"], below, uri)


class _Model(NamedTuple):
    name: str
    """Of a registered one, or the identifier of a logged one, which has neither version nor alias."""
    version: str | None
    alias: str | None
    below: str
    """The path in it."""


def _model(uri: str) -> _Model | None:
    named = uri.removeprefix("models:").lstrip("/")
    if named.startswith("m-"):
        model_id, _, below = named.partition("/")
        return _Model(model_id, None, None, below)
    found = _VERSION.fullmatch(named)
    return found and _Model(found[1], found[2], found[3], found[4] or "")


def _of_model(uri: str, ask: Ask) -> str:
    model = _model(uri)
    if model is None:
        raise ConfigurationError(
            f"{uri!r} names no version; write it as models:/name/1 or models:/name@alias."
        )
    name, version, alias, below = model
    if version is None and alias is None:
        told = ask(_api(f"logged-models/{name}"))
        return _below(told["model"]["info"]["artifact_uri"], below, uri)
    if alias is not None:
        told = ask(_api("registered-models/alias", name=unquote(name), alias=unquote(alias)))
        version = told["model_version"]["version"]
    told = ask(_api("model-versions/get-download-uri", name=unquote(name), version=str(version)))
    return _below(told["artifact_uri"], below, uri)


def _api(route: str, **parameters: str) -> str:
    server = os.environ.get(TRACKING_VARIABLE, "")
    if not server.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{TRACKING_VARIABLE}={server!r} is no URL of a tracking server, which alone knows "
            "where runs and models are."
        )
    query = f"?{urlencode(parameters)}" if parameters else ""
    return f"{server.rstrip('/')}{MLFLOW_API}{route}{query}"


def _below(artifact_uri: str, path: str, uri: str) -> str:
    """The URI of what is at `path` there."""
    if not _SCHEME.match(artifact_uri):
        scheme = artifact_uri.partition(":")[0]
        raise ConfigurationError(f"The artifacts of {uri!r} are not at an artifact-proxy, but at {scheme!r}.")
    if not artifact_uri.startswith(("runs:", "models:")):  # but a URL, where these would mean something
        path = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    return joined(artifact_uri.rstrip("/"), path)
