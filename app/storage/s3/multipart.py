"""Multipart uploads that are open, and the records by which they are told from those of others.

A record is a small object in the server's own corner of the root, written before the first part
and removed with the upload. Whoever finds one that nobody has renewed for long aborts its upload.
The store's own list of open uploads would not do: it does not tell whose they are, and some stores
give it for whole keys only. A server killed between beginning an upload and recording it leaves an
upload without parts, which holds no bytes.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

from app.errors import ArtifactError, StorageMisbehaved
from app.paths import ArtifactPath
from app.storage.s3.bucket import Bucket, code, status
from app.storage.s3.conditional import NO_UPLOAD, PROBES
from app.storage.s3.failures import SILENCE, translated

logger = logging.getLogger(__name__)

_FOLDER = "uploads/"

Part: TypeAlias = tuple[tuple[str, str], ...]
"""What S3 wants to hear of a part again, by names: its ETag, and its checksum where it has one."""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """One multipart upload to the store."""

    path: ArtifactPath
    upload_id: str
    token: str
    """What the finished object carries in its metadata, by which it is known."""
    parts: int | None = None
    """How many parts a client was given URLs for; None if this server sends them."""

    @property
    def name(self) -> str:
        """Of its record. It tells nothing of the upload to whoever does not know both."""
        return sha256(f"{self.path}\0{self.upload_id}".encode()).hexdigest()[:40]

    def to_json(self) -> bytes:
        return json.dumps(
            {"path": str(self.path), "upload_id": self.upload_id, "token": self.token, "parts": self.parts}
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> OpenUpload:
        """Raises `ValueError` for what is no record."""
        try:
            record = json.loads(text)
            path = ArtifactPath.parse(record["path"])
            return cls(path, str(record["upload_id"]), str(record["token"]), record["parts"])
        except (ArtifactError, AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"it is no record of an upload ({type(error).__name__})") from error


class OpenUploads:
    """Those of this process, and the records of everybody's. Raises what botocore raises."""

    def __init__(self, bucket: Bucket, age: float) -> None:
        self.sweep_every = age / 3
        self._bucket = bucket
        self._age = age
        self._lock = Lock()
        self._alive: dict[OpenUpload, float] = {}
        """Uploads that this process sends, with the time at which their record was written."""
        self._failed: dict[OpenUpload, None] = {}
        """Those that could not be aborted when they should have been; the next to be tried first."""

    def begin(
        self, path: ArtifactPath, token: str, parts: int | None = None, **parameters: Any
    ) -> OpenUpload:
        """Begins an upload to the store, with these parameters of its own, and records it.

        With `parts`, a client sends that many; without, this server does, and renews the record.
        """
        key = self._bucket.root.key(path)
        answer = self._bucket.upload_call("CreateMultipartUpload", Key=key, **parameters)
        upload = OpenUpload(path, answer["UploadId"], token, parts)
        try:
            self._write_record(upload)
        except SILENCE:
            self.postpone([upload])  # to abort it now would be another wait
            raise
        except BaseException:
            self.abort(upload)
            raise
        if parts is None:
            with self._lock:
                self._alive[upload] = monotonic()
        return upload

    def send(self, upload: OpenUpload, number: int, data: bytearray) -> Part:
        """Stores one part, and gives what `complete` wants of it."""
        answer = self._bucket.upload_call(
            "UploadPart",
            Key=self._bucket.root.key(upload.path),
            UploadId=upload.upload_id,
            PartNumber=number,
            Body=data,
        )
        return tuple(
            (name, text) for name, text in answer.items() if name == "ETag" or name.startswith("Checksum")
        )

    def complete(self, upload: OpenUpload, parts: Sequence[Part], **conditions: str) -> Any:
        """Makes the parts, in their order, the object. Its record stays: see `forget`."""
        numbered = [{"PartNumber": number, **dict(part)} for number, part in enumerate(parts, start=1)]
        return self._bucket.upload_call(
            "CompleteMultipartUpload",
            Key=self._bucket.root.key(upload.path),
            UploadId=upload.upload_id,
            MultipartUpload={"Parts": numbered},
            **conditions,
        )

    def abort(self, upload: OpenUpload) -> bool:
        """Says whether it could; never raises. What cannot be aborted now is tried again by `sweep`."""
        with self._lock:
            self._alive.pop(upload, None)
        try:
            with translated(upload.path):
                self._abort_in_store(self._bucket.root.key(upload.path), upload.upload_id)
                self._remove_record(upload)
        except ArtifactError as error:
            logger.warning("Left an aborted upload to the sweeper: %s Cause: %s", error, error.__cause__)
            self.postpone([upload])
            return False
        return True

    def postpone(self, uploads: Iterable[OpenUpload]) -> None:
        """Leaves it to `sweep` to abort them."""
        with self._lock:
            for upload in uploads:
                self._alive.pop(upload, None)
                self._failed[upload] = None

    def leave(self, upload: OpenUpload) -> None:
        """Nobody knows whether the upload is complete. The store may still be at it, and an abort at that
        moment might take the parts away from under the artifact: its record grows old, and is swept."""
        with self._lock:
            self._alive.pop(upload, None)

    def forget(self, upload: OpenUpload) -> None:
        """The upload is over: its record goes. Never raises; a record that stays is swept."""
        with self._lock:
            self._alive.pop(upload, None)
        try:
            with translated(upload.path):
                self._remove_record(upload)
        except ArtifactError as error:
            logger.warning(
                "Left the record of an upload to the sweeper: %s Cause: %s", error, error.__cause__
            )

    def find(self, path: ArtifactPath, upload_id: str) -> OpenUpload | None:
        """The upload that was begun with `begin`, by whichever server; None if there is none such."""
        name = OpenUpload(path, upload_id, "").name
        return self._read_record(self._bucket.root.own(_FOLDER + name))

    def sweep(self) -> int:
        """Renews the records of what lives here, then aborts what nobody renewed; says how many."""
        with self._lock:
            now = monotonic()
            stale = [upload for upload, when in self._alive.items() if now - when > self.sweep_every / 2]
        for upload in stale:
            self._renew(upload)
        aborted = self._abort_failed()
        for key in self._expired():
            name = key.removeprefix(self._bucket.root.own(""))
            if name.startswith(_FOLDER):
                aborted += self._sweep(key)
            elif name.startswith(PROBES):
                aborted += self._sweep_probe(key)
        return aborted

    def _abort_failed(self) -> int:
        """Tries those again that could not be aborted, up to one that fails again: the store may be silent,
        and meanwhile nobody renews what lives. Says how many it has aborted."""
        with self._lock:
            waiting, self._failed = deque(self._failed), {}
        aborted = 0
        while waiting and self.abort(waiting.popleft()):
            aborted += 1
        with self._lock:
            self._failed = dict.fromkeys(waiting) | self._failed
        return aborted

    def _renew(self, upload: OpenUpload) -> None:
        """Never raises: the others are to be renewed as well."""
        try:
            with translated(upload.path):
                self._write_record(upload)
                with self._lock:
                    if upload in self._alive:
                        self._alive[upload] = monotonic()
                        return
                self._remove_record(upload)  # it ended this moment
        except ArtifactError as error:
            logger.warning("Could not renew the record of an upload: %s Cause: %s", error, error.__cause__)

    def _expired(self) -> list[str]:
        """The keys of our own that are too old, by the store's clock alone."""
        expired = []
        for page in self._bucket.pages(self._bucket.root.own("")):
            found = page.get("Contents", ())
            try:
                oldest = _date(page) - timedelta(seconds=self._age)
                expired += [our["Key"] for our in found if our["LastModified"] < oldest]
            except (ArithmeticError, LookupError, TypeError, ValueError):  # a time is missing, or none
                raise StorageMisbehaved("The storage does not tell how old its objects are.") from None
        return expired

    def _sweep(self, key: str) -> bool:
        """Never raises: what cannot be swept must not keep the others. Says whether it aborted one."""
        try:
            with translated(ArtifactPath()):
                upload = self._read_or_remove_record(key)
        except ArtifactError as error:
            logger.warning("Could not sweep %a: %s Cause: %s", key, error, error.__cause__)
            return False
        if upload is None:
            return False  # somebody else was quicker
        with self._lock:
            if upload in self._alive:
                return False
        return self.abort(upload)

    def _sweep_probe(self, key: str) -> bool:
        """Removes what is left of a trial whose server died. Never raises; says whether it could."""
        try:
            with translated(ArtifactPath()):
                with closing(self._bucket.call("GetObject", Key=key)["Body"]) as body:
                    upload_id = body.read()
                if upload_id != NO_UPLOAD:
                    self._abort_in_store(key, upload_id.decode(errors="replace"))
                self._bucket.call("DeleteObject", Key=key)
        except ArtifactError as error:
            logger.warning("Could not sweep %a: %s Cause: %s", key, error, error.__cause__)
            return False
        return True

    def _read_or_remove_record(self, key: str) -> OpenUpload | None:
        try:
            return self._read_record(key)
        except ValueError as error:
            logger.warning("Removing %a: %s.", key, error)
            self._bucket.call("DeleteObject", Key=key)
            return None

    def _abort_in_store(self, key: str, upload_id: str) -> None:
        try:
            self._bucket.call("AbortMultipartUpload", Key=key, UploadId=upload_id)
        except ClientError as error:
            if status(error) != 404 or code(error) == "NoSuchBucket":
                raise

    def _write_record(self, upload: OpenUpload) -> None:
        self._bucket.own_call(
            "PutObject", Key=self._record_key(upload), Body=upload.to_json(), ContentType="application/json"
        )

    def _remove_record(self, upload: OpenUpload) -> None:
        self._bucket.call("DeleteObject", Key=self._record_key(upload))

    def _read_record(self, key: str) -> OpenUpload | None:
        try:
            body = self._bucket.call("GetObject", Key=key)["Body"]
        except ClientError as error:
            if status(error) == 404:
                return None
            raise
        with closing(body):
            return OpenUpload.from_json(body.read())

    def _record_key(self, upload: OpenUpload) -> str:
        return self._bucket.root.own(_FOLDER + upload.name)


def _date(answer: Any) -> datetime:
    """When the store gave its answer, by its own clock, which also dates its objects."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
