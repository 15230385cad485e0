"""What is committed to a batch and not published yet: held in memory, or staged in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import TypeAlias

from app.budget import Budget
from app.paths import ArtifactPath
from app.storage.entry import Precondition
from app.storage.s3.abreast import ABREAST
from app.storage.s3.failures import translated
from app.storage.s3.multipart import OpenUpload, Part
from app.storage.s3.publishing import Publication, Published
from app.storage.s3.sending import Sending
from app.storage.s3.upload import ABORT_PATIENCE, Workshop


@dataclass(slots=True)
class Held:
    """A small one, of which nothing is in the store."""

    path: ArtifactPath
    precondition: Precondition
    data: bytearray
    budget: Budget
    """From which its bytes are taken."""

    @property
    def size(self) -> int:
        return len(self.data)

    def require_complete(self) -> None:
        """It always is."""

    def publish(self, publication: Publication) -> Published:
        published = publication.put(self.data)
        self.budget.release(self.size)
        return published

    def give_up(self, _: Workshop, publication: Publication | None) -> None:
        """Nothing is in the store, unless the publication was successful and nobody could tell."""
        self.budget.release(self.size)


@dataclass(slots=True)
class Staged:
    """All its parts are in the store, or on their way to it."""

    path: ArtifactPath
    precondition: Precondition
    size: int
    upload: OpenUpload | None = None
    parts: Sequence[Part] = ()
    error: BaseException | None = None

    def send(self, workshop: Workshop, publication: Publication, data: bytearray) -> None:
        """Sends all of it as one part. Keeps what it raises."""
        try:
            with translated(self.path):
                self.upload = publication.begin()
                self.parts = (workshop.publisher.uploads.send(self.upload, 1, data),)
        except BaseException as error:
            self.error = error
            raise

    def require_complete(self) -> None:
        """Raises what has kept its parts from being sent."""
        if self.error is not None:
            raise self.error

    def publish(self, publication: Publication) -> Published:
        assert self.upload is not None
        return publication.complete(self.upload, self.parts)

    def give_up(self, workshop: Workshop, publication: Publication | None) -> None:
        if self.upload is not None:
            workshop.give_up(self.upload, publication)


Member: TypeAlias = Held | Staged


def abandon(members: Iterable[Member], workshop: Workshop, sending: Sending) -> None:
    """Leaves nothing of them, once what is being sent has come to an end.

    Waits no longer than the patience lasts; it goes on, as long as the store does it.
    """
    staged: list[Staged] = []
    for member in members:
        if isinstance(member, Staged):
            staged.append(member)
        else:
            member.give_up(workshop, None)
    if not staged:
        return
    opened = workshop.publisher.uploads
    rest = iter(staged)

    def abort_some() -> None:
        wait(sending.running)
        for member in rest:
            if member.upload is not None and not opened.abort(member.upload):
                # They would fail as well, each perhaps after a long silence.
                opened.postpone(other.upload for other in rest if other.upload is not None)

    workers = [workshop.batches.submit(abort_some) for _ in range(ABREAST)]
    wait(workers, ABORT_PATIENCE)
