"""Which backend serves which URL scheme. A new backend is one line here.

A backend is a module with a settings model, whose fields become flags, environment variables and
config-file keys, and with `open_storage(url, settings, *, read_only, prepare)`, which raises
`ValueError` for a root that cannot be used, `RefusedSetting` for a setting. It imports its client
library only in there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple, cast

from pydantic import BaseModel

from app.storage.base import Storage


class Backend(NamedTuple):
    schemes: tuple[str, ...]
    """URL schemes; "" for a root without one, which is a plain path."""
    module: str
    settings: str

    def settings_model(self) -> type[BaseModel]:
        return cast(type[BaseModel], getattr(import_module(self.module), self.settings))


BACKENDS = [
    Backend(("", "file"), "app.storage.local", "LocalSettings"),
    Backend(("s3",), "app.storage.s3", "S3Settings"),
]

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):", re.IGNORECASE)
_OTHER_END = {"http", "https", "mlflow-artifacts"}


def settings_models() -> list[type[BaseModel]]:
    return [backend.settings_model() for backend in BACKENDS]


def open_storage(url: str, settings: BaseModel, *, read_only: bool, prepare: bool) -> Storage:
    """The storage that `url` names, with the fields of `settings` that its backend knows.

    With `prepare` it is made ready for its first use where that is possible; without, it must be
    the one that was made ready. Raises `ValueError`, with what is wrong and what to do, for a root
    that cannot be used.
    """
    backend = find(url)
    model = backend.settings_model().model_validate(settings, from_attributes=True)
    opener: Callable[..., Storage] = import_module(backend.module).open_storage
    return opener(url, model, read_only=read_only, prepare=prepare)


def find(url: str) -> Backend:
    """The backend for `url`. Raises `ValueError` with the remedy where there is none."""
    if not url:
        raise ValueError("it is empty; name a directory such as ./artifacts, or s3://bucket/path")
    match = _SCHEME.match(url)
    scheme = match[1].lower() if match else ""
    for backend in BACKENDS:
        if scheme in backend.schemes:
            return backend
    if scheme in _OTHER_END:
        raise ValueError(
            "it is an address that clients use, not a place that keeps files. Name the storage itself "
            "here, such as /srv/artifacts or s3://bucket/path; an S3 endpoint belongs in --s3-endpoint-url "
            "(or MLFLOW_S3_ENDPOINT_URL), beside a root like s3://bucket/path. "
            "The address of this proxy belongs in the tracking server's own --default-artifact-root"
        )
    known = ", ".join(f"{scheme}:" if scheme else "a plain path" for b in BACKENDS for scheme in b.schemes)
    raise ValueError(f"its scheme is not known; known are: {known}")
