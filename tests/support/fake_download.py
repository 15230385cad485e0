"""A download without a storage, and a client without a network, with an answer between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.types import Message

from app.api.threads import StorageThreads
from app.api.transfer import DownloadResponse
from app.paths import ArtifactPath
from app.storage.entry import Entry
from app.storage.ranges import Span
from tests.support.gate import Gate

PATH = ArtifactPath.parse("models/a.bin")


class FakeDownload:
    """Gives chunks, and remembers if any two of its calls overlapped or came after the end."""

    def __init__(
        self, chunks: Sequence[bytes], error: Exception | None = None, gate: Gate | None = None
    ) -> None:
        size = sum(map(len, chunks))
        self.entry = Entry(PATH, size=size, etag="v1")
        self.span = Span(0, size)
        self.gate = gate or Gate()
        self.reads = 0
        self.closed = 0
        self.misused = False
        self._chunks = iter(chunks)
        self._error = error
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def _called(self) -> Iterator[None]:
        self.misused |= not self._one_at_a_time.acquire(blocking=False) or bool(self.closed)
        try:
            yield
        finally:
            self._one_at_a_time.release()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._called():
            self.reads += 1
            self.gate.wait()
            chunk = next(self._chunks, None)
            if chunk is not None:
                return chunk
            raise self._error or StopIteration

    def next_at_once(self) -> None:
        return None

    def close(self) -> None:
        with self._called():
            self.closed += 1


class Reader:
    """The server's side of a client that downloads: slow if told so, and gone when it leaves."""

    def __init__(self, *, slow: bool = False) -> None:
        self.sent: list[Message] = []
        self.leaves = asyncio.Event()
        self._takes = asyncio.Semaphore(0 if slow else 1_000_000)

    def takes(self, messages: int = 1) -> None:
        for _ in range(messages):
            self._takes.release()

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        await self._takes.acquire()

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def complete(self) -> bool:
        """Whether the server was told that this is all."""
        return bool(self.sent) and self.sent[-1].get("more_body", False) is False and len(self.sent) > 1


CHUNKS = [bytes([number]) * 10 for number in range(1, 7)]


def response(download: FakeDownload, threads: StorageThreads) -> DownloadResponse:
    """As the gateway makes it: the first chunk is read already."""
    return DownloadResponse(next(download), download, threads, status_code=200, headers={"X-Size": "60"})


def served(answer: DownloadResponse, reader: Reader) -> asyncio.Task[None]:
    return asyncio.create_task(_serve(answer, reader))


async def _serve(answer: DownloadResponse, reader: Reader) -> None:
    await answer({"type": "http"}, reader.receive, reader.send)
