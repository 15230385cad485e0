"""Servers that are slow and stores that go away in the middle of an upload to S3, and what the others get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.interposer_actions import hang
from tests.support.object_store import ObjectStore
from tests.support.raw import connection, head, read_answer
from tests.support.s3_chain import MIB, PART, PREFIX
from tests.support.s3_front import Front, fronted, impatient
from tests.support.waiting import wait_until

LARGE = b"x" * (2 * PART + 1)


class TestUploadsThatWaitForMemory:
    def test_hold_no_thread_and_all_come_to_their_turn(
        self, object_store: ObjectStore, bucket: str, client: httpx.Client, tmp_path: Path
    ) -> None:
        size = PART + MIB
        flags = ("--storage-threads", "2", "--s3-upload-memory", str(PART))
        with (
            fronted(object_store, bucket, client, tmp_path / "log", *flags) as front,
            ExitStack() as stack,
        ):
            front.put("small", b"data")
            stalled = []
            for number in range(5):
                connected = stack.enter_context(connection(front.server.url))
                connected.sendall(
                    head("PUT", f"/v1/artifacts/d/{number}", f"Content-Length: {size}") + bytes(MIB)
                )
                stalled.append(connected)
                key = f"{PREFIX}d/{number}"
                wait_until(
                    lambda key=key: any(request.key == key for request in front.interposer.requests()),  # type: ignore[misc]
                    "the upload has begun",
                )
            # Four of them wait for the memory of the first one, which waits for its client.
            assert front.get("small").content == b"data"
            assert client.get(f"{front.server.native}/").json()["entries"]
            for connected in stalled:
                connected.sendall(bytes(PART))
                assert read_answer(connected).status == 201
            assert set(front.artifacts()) == {"small", *(f"d/{number}" for number in range(5))}
            assert front.leftovers() == []


class TestStoreStopped:
    @pytest.fixture(autouse=True)
    def forgotten(self, front: Front) -> Iterator[None]:
        front.interposer.clear()
        yield
        front.interposer.forget_rules()

    def test_during_an_upload_leaves_nothing_once_it_goes_on(
        self, front: Front, folder: str, tmp_path: Path
    ) -> None:
        with impatient(front, tmp_path / "log", "--sweep-interval", "0.5") as hasty:
            front.interposer.on("UploadPart", hang, times=None)
            front.interposer.on("AbortMultipartUpload", hang, times=None)
            assert hasty.put(f"{folder}/a", LARGE).status_code == 504
            assert len(front.open_uploads()) == 1
            front.interposer.forget_rules()
            wait_until(lambda: not front.leftovers(), "nothing of the upload is left")
            assert front.get(f"{folder}/a").status_code == 404
