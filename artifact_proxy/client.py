"""The client: what can be done with the artifacts of a server, each as one function."""

from __future__ import annotations

import builtins
import io
from collections.abc import Iterable, Iterator
from copy import copy
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from artifact_proxy import folders, transfers, uploads, uris
from artifact_proxy.connection import Connection
from artifact_proxy.contents import Content
from artifact_proxy.downloads import fetch
from artifact_proxy.entries import Entry
from artifact_proxy.errors import (
    ArtifactIsDirectory,
    ArtifactNotFound,
    ConfigurationError,
    InvalidPath,
)
from artifact_proxy.local import is_folder
from artifact_proxy.network import Network
from artifact_proxy.outcomes import Outcome, entries_of
from artifact_proxy.parts import Leftovers
from artifact_proxy.paths import artifact_path
from artifact_proxy.progress import EachProgress, Progress, unseen
from artifact_proxy.reader import BUFFER_BYTES, RemoteFile
from artifact_proxy.retrying import RETRIES
from artifact_proxy.servers import Servers, named_server
from artifact_proxy.sources import LocalPath


class Client:
    """The artifacts of one server, for any number of threads.

    Where a `path` is taken, it may also be the URL of an artifact, `mlflow-artifacts:/path`,
    `runs:/<run id>/path`, `models:/<name>/<version>/path` or `models:/<name>@<alias>/path`; what these
    name may be at another server. Slashes around a path mean nothing. Every method raises `ArtifactError`;
    another error is only that of a value with a wrong type.
    """

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        jobs: int = 8,
        timeout: float = 60,
        retries: int = RETRIES,
    ) -> None:
        """`server`: its URL, such as https://artifacts.example.com; else that in ARTIFACT_PROXY_SERVER.

        `token`: else ARTIFACT_PROXY_TOKEN, MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME with
        MLFLOW_TRACKING_PASSWORD, or the login for the server's host in ~/.netrc, or in the file of NETRC.
        `jobs`: transfers at once. `timeout`: seconds for which a server may be silent. `retries`: how often
        is tried again what may pass.
        """
        if jobs < 1:
            raise ConfigurationError(f"jobs={jobs} is no number of transfers at once; give 1 or more.")
        network = Network(timeout=timeout, connections=jobs)
        self._servers = Servers(named_server(server), token, network, retries)
        self._elsewhere: Connection | None = None
        """The server, if it is another one than the named."""
        self._others: dict[Connection, Client] = {}
        """The clients of all servers but the named one."""
        self._jobs = jobs

    def located(self, path: str) -> tuple[Client, str]:
        """The client of the server that has what is at `path`, and the path there.

        A path with a slash at its beginning is always one of this server.
        """
        where = uris.locate(path, self._servers.ask_mlflow)
        return self._at(where), artifact_path(where.path)

    def put(
        self,
        source: LocalPath | BinaryIO,
        path: str,
        *,
        create_only: bool = False,
        progress: Progress = unseen,
    ) -> Entry:
        """Uploads a file, or an open one from where it stands. The artifact appears whole or not at all.

        What can be read twice is sent with its digest: the server refuses what was damaged on the way. With
        `create_only` nothing is replaced: raises `Conflict` where there is an artifact.
        """
        client, artifact = self.located(path)
        return uploads.put(client._connection, source, artifact, create_only=create_only, progress=progress)

    def put_bytes(self, data: bytes, path: str, *, create_only: bool = False) -> Entry:
        """Uploads what is in memory."""
        return self.put(io.BytesIO(data), path, create_only=create_only)

    def put_folder(self, folder: LocalPath, path: str, *, create_only: bool = False) -> builtins.list[Entry]:
        """Uploads all files below a folder into the directory `path`; links are left out, with a warning.

        Raises the first error, and begins nothing more then; what was uploaded stays.
        """
        client, directory = self.located(path)
        pairs = folders.files_of(Path(folder), directory)
        return entries_of(client.put_many(pairs, create_only=create_only))

    def put_many(
        self,
        pairs: Iterable[tuple[LocalPath, str]],
        *,
        create_only: bool = False,
        progress: EachProgress = unseen,
    ) -> Iterator[Outcome]:
        """Uploads each file to the path beside it, which is one of this server; tells what came of each.

        It does so while it is iterated: nothing is uploaded before, and nothing more once that has ended.
        """
        return transfers.put_each(
            self._connection, pairs, self._jobs, create_only=create_only, progress=progress
        )

    def get(
        self,
        path: str,
        target: LocalPath = ".",
        *,
        verify: bool | None = None,
        progress: Progress = unseen,
    ) -> Entry:
        """Downloads an artifact to a file, or under its own name into a folder that is there.

        The file is replaced in one moment, when all is there. Until then what has come is kept beside it, and
        another call goes on with that. What did not come in one piece is compared with the server's digest;
        `verify` has that done always, or never.
        """
        client, artifact = self.located(path)
        place = Path(target)
        if is_folder(place):
            place /= artifact.rpartition("/")[2]
        return fetch(
            client._connection,
            artifact,
            place,
            verify=verify,
            leftovers=Leftovers(),
            progress=progress,
        )

    def get_folder(self, path: str, target: LocalPath, *, verify: bool | None = None) -> builtins.list[Entry]:
        """Downloads all artifacts below the directory `path` into a folder, which is made.

        Raises `ArtifactNotFound` where there are none; else the first error, and begins nothing more then.
        Nothing is written by links in the folder, nor outside of it.
        """
        client, directory = self.located(path)
        entries = builtins.list(client._connection.list(directory, recursive=True))
        if not entries:
            raise ArtifactNotFound(f"There is no directory {directory!r}.")
        folder = folders.Folder(Path(target))
        pairs = ((each.path, folder.target(folders.relative(each.path, directory))) for each in entries)
        return entries_of(client.get_many(pairs, verify=verify))

    def get_many(
        self,
        pairs: Iterable[tuple[str, LocalPath]],
        *,
        verify: bool | None = None,
        progress: EachProgress = unseen,
    ) -> Iterator[Outcome]:
        """Downloads each artifact of this server to the file beside it; tells what came of each.

        It does so while it is iterated, as `put_many`.
        """
        return transfers.get_each(self._connection, pairs, self._jobs, verify=verify, progress=progress)

    def read(self, path: str) -> bytes:
        """All bytes of an artifact, in memory."""
        return b"".join(self.stream(path))

    def stream(self, path: str) -> Iterator[bytes]:
        """The bytes of an artifact as they come, all of one version. Raises `Conflict` if that goes away."""
        client, artifact = self.located(path)
        with Content(client._connection, artifact) as content:
            yield from content

    def open(self, path: str) -> io.BufferedReader:
        """The artifact as a file that can be read from any place; what is read is asked for by ranges.

        All of it is of one version: raises `Conflict` once that was replaced.
        """
        client, artifact = self.located(path)
        entry = client._connection.examine(artifact)
        return io.BufferedReader(RemoteFile(client._connection, entry), BUFFER_BYTES)

    def list(self, path: str = "", *, recursive: bool = False) -> Iterator[Entry]:
        """The entries of a directory, sorted; with `recursive`, the artifacts at any depth. A missing one has
        none."""
        client, directory = self.located(path)
        return client._connection.list(directory, recursive=recursive)

    def stat(self, path: str) -> Entry:
        """What is known of an artifact or a directory. Raises `ArtifactNotFound`."""
        client, artifact = self.located(path)
        if not artifact:
            return Entry("", is_dir=True)
        try:
            return client._connection.examine(artifact)
        except ArtifactIsDirectory:
            return Entry(artifact, is_dir=True)

    def digest(self, path: str) -> bytes | None:
        """The SHA-256 of an artifact, which the server reads for that; None if it has no such power."""
        client, artifact = self.located(path)
        return client._connection.sha256(client._connection.examine(artifact))

    def remove(self, path: str, *, recursive: bool = False, missing_ok: bool = False) -> None:
        """Deletes an artifact, or with `recursive` a directory with all that is below it.

        Raises `ArtifactIsDirectory` for a directory else, and `ArtifactNotFound` unless `missing_ok`.
        """
        client, artifact = self.located(path)
        if not artifact:
            raise InvalidPath("The artifact root itself is never deleted; name what is below it.")
        if not (recursive and missing_ok):
            try:
                entry = client.stat(f"/{artifact}")
            except ArtifactNotFound:
                if missing_ok:
                    return
                raise
            if entry.is_dir and not recursive:
                raise ArtifactIsDirectory(
                    f"{artifact!r} is a directory; delete it recursively, with all that is below it."
                )
        client._connection.delete(artifact)

    def url(self, path: str, *, presigned: bool = False) -> str:
        """The URL of an artifact; `presigned`: one by which the storage itself gives it for a while,
        to whoever knows that URL."""
        client, artifact = self.located(path)
        return (
            client._connection.presigned(artifact) if presigned else client._connection.artifact_url(artifact)
        )

    def close(self) -> None:
        """Ends the connections to servers; the client may be used again."""
        self._servers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _connection(self) -> Connection:
        return self._elsewhere or self._servers.of(None)

    def _at(self, where: uris.Location) -> Client:
        """The client of that server, which is the same one each time."""
        if where.server is None:
            _ = self._connection  # there is a server
            return self
        connection = self._servers.of(where.server, is_told=where.is_told)
        if connection is self._elsewhere or (self._elsewhere is None and self._servers.is_named(connection)):
            return self
        other = copy(self)
        other._elsewhere = connection
        return self._others.setdefault(connection, other)
