"""The one request that makes an artifact visible, with its conditions, and certainty about its outcome."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from app.errors import StorageUnavailable
from app.media_types import media_type
from app.paths import ArtifactPath
from app.storage.entry import UNCONDITIONAL, Precondition
from app.storage.s3.bucket import Bucket, code, status
from app.storage.s3.conditional import ConditionalWrites
from app.storage.s3.diagnosis import explanation
from app.storage.s3.entries import etag
from app.storage.s3.failures import CONFLICTING, FAILURES
from app.storage.s3.multipart import OpenUpload, OpenUploads, Part
from app.storage.s3.places import Look, Places
from app.storage.s3.survey import Survey

logger = logging.getLogger(__name__)

ATTEMPTS = 16
PAUSE_SECONDS = 0.01
"""Longer before each further attempt."""
_ANSWER_SECONDS = 5.0
"""To be told by the store whether an artifact was stored: it may have fallen silent."""
_TOKEN = "artifact-proxy-upload"  # noqa: S105 - the name of a metadata field


class Published(NamedTuple):
    etag: str | None
    created: bool


class Publisher:
    """What all publications of one process share."""

    def __init__(
        self,
        bucket: Bucket,
        places: Places,
        uploads: OpenUploads,
        conditional: ConditionalWrites,
        askers: ThreadPoolExecutor,
    ) -> None:
        self.bucket = bucket
        self.places = places
        self.uploads = uploads
        self.conditional = conditional
        self.askers = askers
        """Ask for outcomes, so that nobody has to wait for an answer that does not come."""

    def prepare(
        self,
        path: ArtifactPath,
        precondition: Precondition = UNCONDITIONAL,
        token: str | None = None,
        survey: Survey | None = None,
    ) -> Publication:
        """Raises `PathConflict`, `PreconditionFailed` and `NotSupported` for what is known already.

        `token`: what the finished object is to carry; one of its own where that is not given. `survey`: what
        tells of the place, if others are asked for as well.
        """
        look = (survey or self.places).look(path)
        publication = Publication(self, path, precondition, token or secrets.token_hex(16), look)
        if precondition != UNCONDITIONAL:
            self.conditional.require("PutObject")
        return publication


class Publication:
    """One artifact on its way. Raises what botocore raises."""

    in_doubt = False
    """Whether nobody could say if the artifact was stored."""

    def __init__(
        self, publisher: Publisher, path: ArtifactPath, precondition: Precondition, token: str, look: Look
    ) -> None:
        self._publisher = publisher
        self._bucket = publisher.bucket
        self._path = path
        self._key = publisher.bucket.root.key(path)
        self._precondition = precondition
        self._token = token
        self._look = look
        precondition.require(path, look.current)

    def put(self, data: bytearray) -> Published:
        """Stores it in one piece."""

        def request(**conditions: str) -> Any:
            return self._bucket.upload_call(
                "PutObject", Key=self._key, Body=data, **self._description(), **conditions
            )

        return self._publish(request)

    def begin(self, parts: int | None = None) -> OpenUpload:
        """Begins to store it in parts. See `OpenUploads.begin`."""
        if self._precondition != UNCONDITIONAL:
            self._publisher.conditional.require("CompleteMultipartUpload")
        return self._publisher.uploads.begin(self._path, self._token, parts, **self._description())

    def complete(self, upload: OpenUpload, parts: Sequence[Part]) -> Published:
        """Puts the parts together."""

        def request(**conditions: str) -> Any:
            return self._publisher.uploads.complete(upload, parts, **conditions)

        published = self._publish(request)
        self._publisher.uploads.forget(upload)
        return published

    def _description(self) -> dict[str, Any]:
        return {"ContentType": media_type(self._path.name), "Metadata": {_TOKEN: self._token}}

    def _publish(self, request: Callable[..., Any]) -> Published:
        places = self._publisher.places
        with places.turn(self._path, self._look) as look:
            for attempt in range(ATTEMPTS):
                time.sleep(PAUSE_SECONDS * attempt)
                self._precondition.require(self._path, look.current)
                try:
                    tag = etag(request(**self._pin(look)))
                except FAILURES as error:
                    tag = self._settle(error)
                    if tag is None and not _overtaken(error):
                        raise
                finally:
                    places.changed(self._path)
                if tag is not None:
                    self._remove_marker(look)
                    return Published(tag, created=look.current is None)
                look = places.look(self._path)
        raise StorageUnavailable(f"Others keep changing {str(self._path)!r}; try again later.")

    def _pin(self, look: Look) -> dict[str, str]:
        """The condition by which the store sees to it that what was judged is what is replaced."""
        if self._precondition == UNCONDITIONAL:
            return {}
        return {"IfNoneMatch": "*"} if look.current is None else {"IfMatch": f'"{look.current.etag}"'}

    def _settle(self, error: Exception) -> str | None:
        """The ETag of the artifact if it was stored for all that: an answer can be lost on its way.

        The client library repeats a request whose answer was lost, and the repetition fails where
        the first one succeeded.
        """
        if isinstance(error, ClientError) and status(error) not in {404, 409, 412} and status(error) < 500:
            return None
        asked = self._publisher.askers.submit(self._bucket.head, self._path)
        try:
            answer = asked.result(_ANSWER_SECONDS)
        except (*FAILURES, TimeoutError):
            asked.cancel()
            self.in_doubt = True
            return None  # the error that brought us here says more
        if answer is None or not carries(answer, self._token):
            return None
        logger.info("%a was stored, although: %s.", str(self._path), explanation(error))
        return etag(answer)

    def _remove_marker(self, look: Look) -> None:
        """An object that stands for an empty directory makes way for the artifact of its name."""
        if not look.marker:
            return
        try:
            self._bucket.call("DeleteObject", Key=self._bucket.root.below(self._path))
        except FAILURES as error:
            logger.warning("The directory marker beside %a stays: %s.", str(self._path), explanation(error))


def carries(answer: Mapping[str, Any], token: str) -> bool:
    """Whether a HeadObject tells of the object with this token; stores spell the name of the field freely."""
    return token in answer["Metadata"].values()


def _overtaken(error: Exception) -> bool:
    """Whether somebody else changed the artifact between our look and our request."""
    if not isinstance(error, ClientError):
        return False
    # A missing object is no match; a missing upload is another matter.
    gone = status(error) == 404 and code(error) == "NoSuchKey"
    return status(error) == 412 or code(error) in CONFLICTING or gone
