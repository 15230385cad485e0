"""A batch of uploads to S3: small ones are held, others staged; at the end they appear, a few at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from functools import partial
from typing import Self

from app.errors import ArtifactError
from app.paths import ArtifactPath
from app.storage.base import Published
from app.storage.entry import UNCONDITIONAL, Entry, Precondition
from app.storage.s3.abreast import ABREAST, Abreast
from app.storage.s3.failures import translated
from app.storage.s3.members import Held, Member, Staged, abandon
from app.storage.s3.multipart import OpenUpload, Part
from app.storage.s3.publishing import Publication
from app.storage.s3.publishing import Published as Stored
from app.storage.s3.sending import Sending
from app.storage.s3.survey import Survey
from app.storage.s3.upload import ABORT_PATIENCE, S3Upload, Workshop

HELD_BYTES = 64 * 1024
"""What is not larger takes a store longer to stage than to store. It is held, as long as there is memory."""


class S3Batch:
    """See `app.storage.base.Batch`."""

    _over = False
    _latest: S3Upload | None = None
    _publishing: Abreast[Member, Published] | None = None

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        # One for all: it tells the object of this batch from others of the same path.
        self._token = secrets.token_hex(16)
        self._members: dict[ArtifactPath, Member] = {}
        self._survey = Survey(workshop.publisher.bucket, workshop.publisher.places)
        self._sending = Sending(workshop.senders, workshop.memory, most=ABREAST)

    def create(
        self,
        path: ArtifactPath,
        *,
        size: int | None = None,
        precondition: Precondition = UNCONDITIONAL,
    ) -> S3Upload:
        if self._over:
            raise ValueError("The batch is over; begin another one.")
        if path in self._members:
            raise ValueError(f"The batch has {str(path)!r} already.")
        if self._latest is not None:
            self._latest.abort()
        self._survey.include(path)
        publication = self._prepare(path, precondition, self._survey)

        def keep(data: bytearray) -> None:
            if len(data) <= HELD_BYTES and self._workshop.held.take(len(data)):
                self._members[path] = Held(path, precondition, data, self._workshop.held)
            else:
                self._stage(Staged(path, precondition, len(data)), publication, data)

        def keep_parts(size: int, upload: OpenUpload, parts: Sequence[Part]) -> None:
            self._members[path] = Staged(path, precondition, size, upload, tuple(parts))

        self._latest = _MemberUpload(self._workshop, path, size, publication, keep, keep_parts)
        return self._latest

    def _stage(self, staged: Staged, publication: Publication, data: bytearray) -> None:
        """Begins to send it. Raises what has become of earlier ones, and then leaves nothing of this one."""

        def send() -> None:
            if not self._over:
                staged.send(self._workshop, publication, data)

        try:
            self._sending.send(len(data), send)
        except BaseException:
            staged.give_up(self._workshop, publication)
            raise
        self._members[staged.path] = staged

    def _end_staging(self) -> None:
        """Waits until all parts are sent, or have failed. What was seen before counts no more."""
        wait(self._sending.running)
        self._survey = self._survey.renewed()

    def judge(self) -> Iterator[None]:
        self._end_staging()
        judge = partial(self._judge, self._survey)
        judging = Abreast(self._workshop.batches, judge, self._members.values())
        try:
            yield from judging
        finally:
            judging.stop(0)

    def _judge(self, survey: Survey, member: Member) -> None:
        member.require_complete()
        self._prepare(member.path, member.precondition, survey)

    def publish(self) -> Iterator[Published]:
        self._end_staging()
        members, self._members = self._members, {}
        publish = partial(self._publish, self._survey)
        self._publishing = Abreast(self._workshop.batches, publish, members.values())
        yield from self._publishing
        self.abort()

    def _publish(self, survey: Survey, member: Member) -> Published:
        path = member.path
        try:
            etag, created = self._complete(survey, member)
        except ArtifactError as error:
            return Published(path, None, created=False, error=error)
        return Published(path, Entry(path, size=member.size, etag=etag), created, error=None)

    def _complete(self, survey: Survey, member: Member) -> Stored:
        """Leaves nothing of what cannot be completed."""
        publication: Publication | None = None
        try:
            member.require_complete()
            publication = self._prepare(member.path, member.precondition, survey)
            with translated(member.path):
                return member.publish(publication)
        except BaseException:
            member.give_up(self._workshop, publication)
            raise

    def _prepare(self, path: ArtifactPath, precondition: Precondition, survey: Survey) -> Publication:
        with translated(path):
            return self._workshop.publisher.prepare(path, precondition, self._token, survey)

    def abort(self) -> None:
        self._over = True
        if self._latest is not None:
            self._latest.abort()
        members, self._members = self._members, {}
        rest = list(members.values())
        if self._publishing is not None:
            rest += self._publishing.stop(ABORT_PATIENCE)
        abandon(rest, self._workshop, self._sending)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class _MemberUpload(S3Upload):
    """When it is committed, its bytes stay where they are, or its parts stay parts."""

    def __init__(
        self,
        workshop: Workshop,
        path: ArtifactPath,
        size: int | None,
        publication: Publication,
        keep: Callable[[bytearray], None],
        keep_parts: Callable[[int, OpenUpload, Sequence[Part]], None],
    ) -> None:
        super().__init__(workshop, path, size, publication)
        self._kept = keep
        self._kept_parts = keep_parts

    def _keep(self) -> None:
        if self._upload is None:
            self._kept(self._take_buffer())
        else:
            self._kept_parts(self._size, *self._all_sent())
