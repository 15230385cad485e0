"""Clients, servers and stores that go away in the middle of an upload to S3, and what the others get."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.support.interposer_actions import hang
from tests.support.object_store import ObjectStore
from tests.support.raw import connection, head, read_answer
from tests.support.s3_chain import MIB, PART, PREFIX, chained
from tests.support.s3_front import Front, fronted, impatient
from tests.support.server import Server
from tests.support.waiting import wait_until

LARGE = b"x" * (2 * PART + 1)


@pytest.fixture
def front(shared_front: Front) -> Front:
    return shared_front


class TestClientGone:
    @pytest.mark.parametrize("framing", ["Content-Length: 90000000", "Transfer-Encoding: chunked"])
    @pytest.mark.parametrize("sent", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
    def test_during_an_upload_leaves_nothing(
        self, front: Front, folder: str, framing: str, sent: int
    ) -> None:
        front.put(f"{folder}/a", b"old")
        for name in ("a", "new/b"):
            front.interposer.clear()
            with connection(front.server.url) as connected:
                connected.sendall(head("PUT", f"/v1/artifacts/{folder}/{name}", framing))
                body = bytes(sent)
                if "chunked" in framing:
                    body = b"%x\r\n%b\r\n" % (sent, body) if sent else b""
                connected.sendall(body)
                key = f"{PREFIX}{folder}/{name}"
                wait_until(
                    lambda key=key: any(request.key == key for request in front.interposer.requests()),  # type: ignore[misc]
                    "the upload has begun",
                )
                if sent > PART + MIB // 2:
                    wait_until(lambda: front.interposer.requests("UploadPart"), "a part is on its way")
            wait_until(lambda: not front.leftovers(), "nothing of the upload is left")
        assert front.get(f"{folder}/a").content == b"old"
        assert front.get(f"{folder}/new/b").status_code == 404
        assert "Traceback" not in front.server.log()


class TestServerKilled:
    def test_leaves_an_upload_that_the_next_one_sweeps_and_ours_only(
        self, serve: Callable[..., Server], object_store: ObjectStore, bucket: str, client: httpx.Client
    ) -> None:
        root = f"s3://{bucket}/{PREFIX}"
        environment = object_store.environment()
        server = serve("--s3-part-size", str(PART), root=root, **environment)
        client.put(f"{server.native}/d/a", content=b"old")
        with chained(object_store, bucket) as chain:
            with connection(server.url) as connected:
                connected.sendall(head("PUT", "/v1/artifacts/d/a", "Content-Length: 90000000") + LARGE)
                wait_until(chain.own, "the upload has begun")
                server.process.send_signal(signal.SIGKILL)
                server.process.wait()
            foreign = chain.direct.create_multipart_upload(Bucket=bucket, Key=f"{PREFIX}d/a")["UploadId"]
            assert len(chain.open_uploads()) == 2
            successor = serve("--s3-abandoned-upload-age", "1", root=root, **environment)
            wait_until(lambda: chain.leftovers() == [foreign], "the next one sweeps")
            assert client.get(f"{successor.native}/d/a").content == b"old"
            wait_until(lambda: "Removed 1 uploads" in successor.log(), "it says so")
            chain.direct.abort_multipart_upload(Bucket=bucket, Key=f"{PREFIX}d/a", UploadId=foreign)

    def test_that_is_slow_keeps_its_upload_from_being_swept_by_another(
        self, serve: Callable[..., Server], object_store: ObjectStore, bucket: str, client: httpx.Client
    ) -> None:
        root = f"s3://{bucket}/{PREFIX}"
        flags = ("--s3-part-size", str(PART), "--s3-abandoned-upload-age", "3", "--sweep-interval", "0.3")
        server, other = (serve(*flags, root=root, **object_store.environment()) for _ in range(2))
        with chained(object_store, bucket) as chain, connection(server.url) as connected:
            connected.sendall(head("PUT", "/v1/artifacts/a", f"Content-Length: {len(LARGE)}") + LARGE[:-1])
            wait_until(chain.own, "the upload has begun")
            (record,) = chain.own()

            def written() -> float:
                found = chain.direct.head_object(Bucket=bucket, Key=f"{PREFIX}{record}")
                return found["LastModified"].timestamp()

            begun = written()
            wait_until(lambda: written() > begun + 3, "it has become older than what is swept")
            connected.sendall(LARGE[-1:])
            assert read_answer(connected).status == 201
            assert chain.artifacts() == {"a": LARGE}
            assert chain.leftovers() == []
        assert "Removed" not in other.log()


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

    def test_for_a_while_leaves_health_quick_and_full_service_afterwards(
        self, front: Front, folder: str, client: httpx.Client, tmp_path: Path
    ) -> None:
        front.put(f"{folder}/a", b"data")
        with (
            impatient(front, tmp_path / "log", "--storage-threads", "2") as hasty,
            ThreadPoolExecutor(8) as pool,
        ):
            front.interposer.on(lambda request: True, hang, times=None)
            reading = [pool.submit(hasty.get, f"{folder}/a") for _ in range(4)]
            writing = [pool.submit(hasty.put, f"{folder}/d/{number}", b"data") for number in range(4)]
            wait_until(lambda: len(front.interposer.requests("GetObject")) >= 1, "requests wait")
            for _ in range(5):
                assert client.get(f"{hasty.server.url}/health").status_code == 200
            assert not all(request.done() for request in reading + writing)
            assert {request.result().status_code for request in reading + writing} <= {503, 504}
            front.interposer.forget_rules()
            assert hasty.get(f"{folder}/a").content == b"data"
            assert hasty.put(f"{folder}/d/0", LARGE).status_code == 201
            assert front.leftovers() == []

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
