"""A storage used in one line each: what tests put there, and what they find."""

from __future__ import annotations

from app.paths import ArtifactPath
from app.storage.base import Batch, Storage
from app.storage.entry import Entry, Precondition
from app.storage.ranges import ByteRange


def path(text: str) -> ArtifactPath:
    return ArtifactPath.parse(text)


def put(storage: Storage, at: str, data: bytes = b"data", precondition: Precondition | None = None) -> Entry:
    with storage.create(path(at), size=len(data), precondition=precondition or Precondition()) as upload:
        upload.write(data)
        return upload.commit()


def stage(batch: Batch, at: str, data: bytes = b"data", precondition: Precondition | None = None) -> Entry:
    with batch.create(path(at), size=len(data), precondition=precondition or Precondition()) as upload:
        upload.write(data)
        return upload.commit()


def judge(batch: Batch) -> None:
    for _ in batch.judge():
        pass


def get(storage: Storage, at: str, wanted: ByteRange | None = None) -> bytes:
    download = storage.read(path(at), wanted)
    try:
        return b"".join(download)
    finally:
        download.close()


def names(storage: Storage, directory: str = "", after: str | None = None) -> list[str]:
    return [e.path.name for e in storage.list(ArtifactPath.parse_directory(directory), after=after)]


def paths(storage: Storage, directory: str = "", after: str | None = None) -> list[str]:
    listed = storage.list(ArtifactPath.parse_directory(directory), recursive=True, after=after)
    return [str(entry.path) for entry in listed]
