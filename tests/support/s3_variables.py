"""Storages and servers over S3 whose environment has certain variables, and no others of their kind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from app.config import load
from app.main import open_storage
from app.storage import s3
from app.storage.base import Storage
from app.storage.s3 import S3Settings
from app.storage.s3.storage import S3Storage
from tests.support.server import Server, running

PART = 5 * 1024 * 1024
LARGE = bytes(PART + 1)
"""Two parts."""
NOBODY = "http://127.0.0.1:1"
"""An endpoint at which nothing listens."""
_FOREIGN = ("ARTIFACT_PROXY_", "AWS_", "BOTO_", "MLFLOW_", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def configured(root: str, variables: Mapping[str, str], **flags: object) -> Iterator[Storage]:
    """The storage as a server opens it whose environment has these variables of ours, MLflow and AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    with patch.dict(os.environ, kept | dict(variables), clear=True):
        settings = load({"default_artifact_root": root, "s3_part_size": PART} | flags, None).settings
        with closing(open_storage(settings, prepare=True)) as storage:
            yield storage


@contextmanager
def served(root: str, variables: Mapping[str, str], directory: Path, *arguments: str) -> Iterator[Server]:
    log_file = directory / "server.log"
    with running(root, *arguments, environment=variables, log_file=log_file) as server:
        yield server


def without(variables: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in names}


def profile(directory: Path, text: str, name: str = "default") -> dict[str, str]:
    """Variables that name a file like ~/.aws/config with these settings in one profile."""
    file = directory / "config"
    section = "default" if name == "default" else f"profile {name}"
    file.write_text(f"[{section}]\n{text}\n")
    return {"AWS_CONFIG_FILE": str(file)}


def opened(url: str = "s3://bucket/path", **values: object) -> S3Storage:
    return s3.open_storage(url, S3Settings.model_validate(values), read_only=False)
