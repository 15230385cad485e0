"""Where artifacts lie, and how to get at them behind the servers' backs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from benchmarks.content import Stored, WrongTransfer, pieces, verify
from tests.support.object_store import ObjectStore, seaweedfs

_FILLERS = 8
_BOUNDARY = "artifact-proxy"


class Root(Protocol):
    """An artifact root that several servers share."""

    @property
    def url(self) -> str: ...
    @property
    def environment(self) -> Mapping[str, str]:
        """What a server needs to use it."""

    def store(self, name: str, size: int, content: int) -> None:
        """Keeps an artifact."""

    def fill(self, directory: str, names: Sequence[str]) -> None:
        """Keeps empty artifacts."""

    def opened(self, name: str) -> AbstractContextManager[Stored]:
        """What is kept."""

    def remove(self, name: str) -> None: ...


def check(root: Root, name: str, size: int, content: int) -> None:
    """Raises `WrongTransfer` unless it keeps exactly the artifact that was uploaded."""
    with root.opened(name) as stored:
        verify(stored, size, content)


class LocalRoot:
    environment: Mapping[str, str] = {}

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = str(directory)
        directory.mkdir()

    def store(self, name: str, size: int, content: int) -> None:
        with (self.directory / name).open("wb") as file:
            file.writelines(pieces(size, content))

    def fill(self, directory: str, names: Sequence[str]) -> None:
        (self.directory / directory).mkdir()
        for name in names:
            (self.directory / directory / name).touch()

    def opened(self, name: str) -> AbstractContextManager[Stored]:
        return (self.directory / name).open("rb")

    def remove(self, name: str) -> None:
        (self.directory / name).unlink()


class S3Root:
    def __init__(self, store: ObjectStore) -> None:
        self.object_store = store
        self.bucket = store.make_bucket()
        self.url = f"s3://{self.bucket}/root"
        self.environment = store.environment()
        self.client = store.client()

    def key(self, name: str) -> str:
        return f"root/{name}"

    def presigned(self, name: str) -> str:
        """A URL of the store itself."""
        wanted = {"Bucket": self.bucket, "Key": self.key(name)}
        return self.client.generate_presigned_url("get_object", Params=wanted)

    def store(self, name: str, size: int, content: int) -> None:
        generated: Any = _Generated(size, content)
        self.client.upload_fileobj(generated, self.bucket, self.key(name))

    def fill(self, directory: str, names: Sequence[str]) -> None:
        """By forms, of which one signature is enough for all: signing is what takes long."""
        prefix = self.key(f"{directory}/")
        form = self.client.generate_presigned_post(
            self.bucket, prefix + "${filename}", Conditions=[["starts-with", "$key", prefix]]
        )

        def post(names: Sequence[str]) -> None:
            parts = urlsplit(form["url"])
            with closing(HTTPConnection(str(parts.hostname), parts.port)) as connection:
                for name in names:
                    body = _multipart(form["fields"] | {"key": prefix + name})
                    kind = f"multipart/form-data; boundary={_BOUNDARY}"
                    connection.request("POST", parts.path, body, {"Content-Type": kind})
                    answer = connection.getresponse()
                    if answer.status != 204:
                        raise WrongTransfer(f"the store refuses {name}: {answer.read(300)!r}")
                    answer.read()

        with ThreadPoolExecutor(_FILLERS) as threads:
            list(threads.map(post, [names[first::_FILLERS] for first in range(_FILLERS)]))

    def opened(self, name: str) -> AbstractContextManager[Stored]:
        body: Any = self.client.get_object(Bucket=self.bucket, Key=self.key(name))["Body"]
        return closing(body)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.key(name))


@contextmanager
def s3_root(directory: Path) -> Iterator[S3Root]:
    """A bucket of a SeaweedFS of its own, which keeps its data below `directory`."""
    with seaweedfs(directory) as store:
        root = S3Root(store)
        with closing(root.client):
            yield root


class _Generated(io.RawIOBase):
    """An artifact, as a file to be read once."""

    def __init__(self, size: int, content: int) -> None:
        self._pieces = pieces(size, content)
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1, /) -> bytes:
        taken = [self._buffer]
        missing = count - len(self._buffer)
        while count < 0 or missing > 0:
            piece = next(self._pieces, b"")
            if not piece:
                break
            taken.append(piece)
            missing -= len(piece)
        data = b"".join(taken)
        end = len(data) if count < 0 else count
        self._buffer = data[end:]
        return data[:end]


def _multipart(fields: Mapping[str, str]) -> str:
    """A form with these fields and an empty file."""
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    written = "".join(f'{head}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    return f'{written}{head}"file"; filename="-"\r\n\r\n\r\n--{_BOUNDARY}--\r\n'
