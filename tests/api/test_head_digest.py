"""HEAD with Want-Repr-Digest: the server reads the artifact, and tells its digest (RFC 9530)."""

from __future__ import annotations

import hashlib
import os
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from app.api.threads import StorageThreads
from app.api.transfer import digest_of
from app.errors import StorageError, UploadInterrupted
from tests.support.access import bearer, token_stanza
from tests.support.event_loop import run
from tests.support.fake_download import CHUNKS, FakeDownload
from tests.support.guarded import guarded
from tests.support.object_store import ObjectStore
from tests.support.raw import connection, head
from tests.support.server import Server
from tests.support.waiting import wait_until

CONTENT = bytes(range(256)) * 6_000
"""Several chunks."""
WISH = {"Want-Repr-Digest": "sha-256=1"}
OWN = ("date", "x-request-id", "repr-digest")
"""What differs between two answers."""


def digest(name: str = "sha256", content: bytes = CONTENT) -> str:
    return b64encode(hashlib.new(name, content).digest()).decode()


class TestAnswer:
    @pytest.mark.parametrize(
        ("wish", "answer"),
        [
            ("sha-256=1", f"sha-256=:{digest()}:"),
            ("sha-256=1, sha-512=9", f"sha-512=:{digest('sha512')}:"),
            ("md5=9", None),
            ("sha-256=0", None),
            ("nonsense=((", None),
        ],
    )
    def test_has_the_digest_that_is_wanted(
        self, base: str, client: httpx.Client, wish: str, answer: str | None
    ) -> None:
        client.put(f"{base}/a", content=CONTENT).raise_for_status()
        examined = client.head(f"{base}/a", headers={"Want-Repr-Digest": wish})
        assert (examined.status_code, examined.headers.get("repr-digest")) == (200, answer)

    def test_is_else_that_of_head_without_it(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a", content=CONTENT)
        plain, digested = client.head(f"{base}/a"), client.head(f"{base}/a", headers=WISH)
        assert _lasting(plain) == _lasting(digested)
        assert plain.headers["content-length"] == str(len(CONTENT))

    def test_holds_for_an_empty_artifact(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/empty", content=b"")
        assert client.head(f"{base}/empty", headers=WISH).headers["repr-digest"] == (
            f"sha-256=:{digest(content=b'')}:"
        )

    def test_keeps_to_the_conditions(self, base: str, client: httpx.Client) -> None:
        etag = client.put(f"{base}/a", content=CONTENT).headers["etag"]
        for name, value, status in [
            ("If-Match", etag, 200),
            ("If-Match", '"other"', 412),
            ("If-None-Match", etag, 304),
        ]:
            answer = client.head(f"{base}/a", headers=WISH | {name: value})
            assert answer.status_code == status
            assert ("repr-digest" in answer.headers) == (status == 200)

    def test_is_an_error_where_there_is_no_artifact(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/d/a", content=CONTENT)
        assert client.head(f"{base}/none", headers=WISH).status_code == 404
        assert client.head(f"{base}/d", headers=WISH).status_code == 400

    def test_to_get_has_no_digest(self, base: str, client: httpx.Client) -> None:
        client.put(f"{base}/a", content=CONTENT)
        assert "repr-digest" not in client.get(f"{base}/a", headers=WISH).headers

    def test_is_the_same_over_s3(
        self, serve: Callable[..., Server], object_store: ObjectStore, client: httpx.Client
    ) -> None:
        bucket = object_store.make_bucket()
        server = serve(root=f"s3://{bucket}/root", **object_store.environment())
        client.put(f"{server.native}/a", content=CONTENT).raise_for_status()
        examined = client.head(f"{server.native}/a", headers=WISH)
        assert examined.headers["repr-digest"] == f"sha-256=:{digest()}:"
        assert client.delete(f"{server.native}/a").is_success
        object_store.remove_bucket(bucket)


def _lasting(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN}


class TestReading:
    def test_is_admitted_like_a_download(self, serve: Callable[..., Server], client: httpx.Client) -> None:
        server = serve("--max-transfers", "1", "--admission-timeout", "0.2")
        client.put(f"{server.native}/large", content=bytes(50_000_000)).raise_for_status()
        with closing(socket.create_connection(_address(server))) as slow:
            slow.sendall(head("GET", "/v1/artifacts/large"))
            assert slow.recv(1)
            assert client.head(f"{server.native}/large", headers=WISH).status_code == 503
            assert client.head(f"{server.native}/large").status_code == 200
        wait_until(
            lambda: client.head(f"{server.native}/large", headers=WISH).status_code == 200,
            "the place is free",
        )

    def test_ends_when_the_client_is_gone(self, server: Server, client: httpx.Client, folder: str) -> None:
        client.put(f"{server.native}/{folder}/a", content=b"").raise_for_status()
        artifact = server.root / folder / "a"
        os.truncate(artifact, 1 << 40)  # to read it takes many minutes, though it takes no room

        def is_read() -> bool:
            return str(artifact) in [file.path for file in psutil.Process(server.process.pid).open_files()]

        with connection(server.url) as leaving:
            leaving.sendall(head("HEAD", f"/v1/artifacts/{folder}/a", "Want-Repr-Digest: sha-512=1"))
            wait_until(is_read, "the server reads it")
        wait_until(lambda: not is_read(), "the server has stopped")
        artifact.unlink()
        assert "Traceback" not in server.log()

    def test_takes_every_chunk_once(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            made = await digest_of(download, "sha256", threads, _stays)
            assert made == hashlib.sha256(b"".join(CHUNKS)).digest()

        run(main())
        assert download.reads == len(CHUNKS) + 1

    def test_reads_no_further_for_a_client_that_is_gone(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS)

        async def main() -> None:
            with pytest.raises(UploadInterrupted, match="went away"):
                await digest_of(download, "sha256", threads, _leaves)

        run(main())
        assert download.reads == 1

    def test_that_fails_is_no_digest_of_a_part(self, threads: StorageThreads) -> None:
        download = FakeDownload(CHUNKS, StorageError("broken"))

        async def main() -> None:
            with pytest.raises(StorageError, match="broken"):
                await digest_of(download, "sha256", threads, _stays)

        run(main())


async def _stays() -> bool:
    return False


async def _leaves() -> bool:
    return True


def _address(server: Server) -> tuple[str, int]:
    host, _, port = server.url.rpartition("/")[2].partition(":")
    return host, int(port)


def test_a_caller_who_may_not_read_gets_no_digest(tmp_path: Path, client: httpx.Client) -> None:
    token, stanza = token_stanza("writer", "write:", "list:")
    with guarded(tmp_path, stanza) as server:
        assert client.put(f"{server.native}/a", content=b"x", headers=bearer(token)).status_code == 201
        refused = client.head(f"{server.native}/a", headers=WISH | bearer(token))
    assert (refused.status_code, "repr-digest" in refused.headers) == (403, False)
