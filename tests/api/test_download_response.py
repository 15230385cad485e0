"""Downloads between the storage and a client: order, reading ahead, failures, departure, cancellation."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.types import Message

from app.api.threads import StorageThreads
from app.errors import StorageError
from tests.support.event_loop import A_MOMENT, run, until
from tests.support.fake_download import CHUNKS, FakeDownload, Reader, response, served
from tests.support.gate import Gate


class TestDownloadResponse:
    @pytest.mark.parametrize("count", [1, 2, 6])
    def test_it_sends_every_chunk_and_then_the_end(self, threads: StorageThreads, count: int) -> None:
        download = FakeDownload(CHUNKS[:count])

        async def main() -> None:
            reader = Reader()
            await served(response(download, threads), reader)
            start = reader.sent[0]
            assert (start["type"], start["status"]) == ("http.response.start", 200)
            assert (b"x-size", b"60") in start["headers"]
            assert reader.body == b"".join(CHUNKS[:count])
            assert reader.complete

        run(main())
        assert download.closed == 1
        assert not download.misused

    def test_it_reads_a_chunk_when_the_server_took_the_one_before_and_never_earlier(
        self, threads: StorageThreads
    ) -> None:
        download = FakeDownload(CHUNKS)

        async def one_sent(reader: Reader, number: int) -> None:
            reader.takes()
            await until(lambda: len(reader.sent) == number + 1 and download.reads == number)
            await asyncio.sleep(A_MOMENT / 5)
            assert download.reads == number

        async def main() -> None:
            reader = Reader(slow=True)
            serving = served(response(download, threads), reader)
            for number in range(1, len(CHUNKS) + 1):
                await one_sent(reader, number)
            reader.takes(2)
            await serving
            assert reader.body == b"".join(CHUNKS)

        run(main())

    def test_it_stops_reading_when_the_client_is_gone(self, threads: StorageThreads) -> None:
        download = FakeDownload([b"x"] * 1000)

        async def main() -> None:
            reader = Reader(slow=True)
            serving = served(response(download, threads), reader)
            reader.takes(3)
            await until(lambda: len(reader.sent) == 4)
            reader.leaves.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reader.takes(1000)
            await serving
            assert not reader.complete
            assert len(reader.sent) <= 5

        run(main())
        assert download.reads <= 5
        assert download.closed == 1
        assert not download.misused

    @pytest.mark.parametrize("good", [1, 2, 6])
    def test_it_is_cut_where_the_storage_fails(
        self, threads: StorageThreads, caplog: pytest.LogCaptureFixture, good: int
    ) -> None:
        error = StorageError("the storage failed")
        error.__cause__ = OSError(5, "the disk is gone")
        download = FakeDownload(CHUNKS[:good], error)

        async def main() -> None:
            reader = Reader()
            await served(response(download, threads), reader)
            assert reader.body == b"".join(CHUNKS[:good])
            assert not reader.complete

        with caplog.at_level(logging.ERROR, "app.api.transfer"):
            run(main())
        [record] = caplog.records
        assert "models/a.bin" in record.getMessage()
        assert "the storage failed" in caplog.text
        assert "the disk is gone" in caplog.text
        assert download.closed == 1
        assert not download.misused

    def test_a_defect_is_no_failure_of_the_storage(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS[:2], ZeroDivisionError())

        async def main() -> None:
            reader = Reader()
            with pytest.raises(ZeroDivisionError):
                await served(response(download, threads), reader)
            assert not reader.complete

        run(main())
        assert download.closed == 1

    @pytest.mark.parametrize("messages", [0, 1, 3])
    def test_it_closes_the_download_when_sending_fails(self, threads: StorageThreads, messages: int) -> None:
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            sent: list[Message] = []

            async def send(message: Message) -> None:
                if len(sent) == messages:
                    raise ConnectionResetError
                sent.append(message)

            with pytest.raises(ConnectionResetError):
                await response(download, threads)({"type": "http"}, Reader().receive, send)

        run(main())
        assert download.closed == 1
        assert not download.misused

    def test_it_closes_the_download_when_it_is_cancelled_while_it_sends(
        self, threads: StorageThreads
    ) -> None:
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            reader = Reader(slow=True)
            serving = served(response(download, threads), reader)
            reader.takes(1)
            await until(lambda: len(reader.sent) == 2)
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving

        run(main())
        assert (download.reads, download.closed) == (1, 1)
        assert not download.misused

    @pytest.mark.parametrize("times", [1, 3])
    def test_it_closes_the_download_after_the_read_that_runs_when_it_is_cancelled(
        self, threads: StorageThreads, times: int
    ) -> None:
        download = FakeDownload(CHUNKS, gate=Gate(closed=True))
        download.gate.let_through()

        async def main() -> None:
            reader = Reader()
            serving = served(response(download, threads), reader)
            await until(lambda: len(reader.sent) == 2 and download.reads == 2)
            for _ in range(times):
                serving.cancel()
                await asyncio.sleep(A_MOMENT / times)
                assert not serving.done()
            assert download.closed == 0
            download.gate.let_through()
            with pytest.raises(asyncio.CancelledError):
                await serving

        run(main())
        assert (download.reads, download.closed) == (2, 1)
        assert not download.misused

    def test_it_leaves_the_client_alone_while_it_is_there(self, threads: StorageThreads) -> None:
        """What a client sends while it downloads, such as the end of its empty body, is no farewell."""
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            reader = Reader()
            messages = [{"type": "http.request", "body": b"", "more_body": False}] * 3

            async def receive() -> Message:
                return messages.pop() if messages else await reader.receive()

            await response(download, threads)({"type": "http"}, receive, reader.send)
            assert reader.complete

        run(main())
