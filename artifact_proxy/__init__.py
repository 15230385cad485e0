"""A client of artifact-proxy, and of nothing else: it needs neither the server's code nor its dependencies.

from artifact_proxy import Client

client = Client("http://127.0.0.1:5500")
client.put("model.bin", "models/a/model.bin")
client.get("models/a/model.bin", "copy.bin")
"""

from artifact_proxy.client import Client
from artifact_proxy.entries import Entry
from artifact_proxy.errors import (
    ArtifactError,
    ArtifactIsDirectory,
    ArtifactNotFound,
    ConfigurationError,
    Conflict,
    DigestMismatch,
    InvalidPath,
    NotPermitted,
    Unavailable,
)
from artifact_proxy.outcomes import Outcome

__all__ = [
    "ArtifactError",
    "ArtifactIsDirectory",
    "ArtifactNotFound",
    "Client",
    "ConfigurationError",
    "Conflict",
    "DigestMismatch",
    "Entry",
    "InvalidPath",
    "NotPermitted",
    "Outcome",
    "Unavailable",
]
